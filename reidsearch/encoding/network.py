"""The network in an encoder's file: loaded where it may be, refused in words where not."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.encoding import onnxfile
from reidsearch.encoding.preprocessing import CHANNELS, MAX_TEXT
from reidsearch.errors import EncoderError

if TYPE_CHECKING:
    import onnxruntime as ort

SHOWN = 5  # inputs and outputs in a message
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}


# What pictures and vectors may be made of: ONNX Runtime's names, and ours.
_FLOATS: dict[str, "np.dtype[np.generic]"] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
}
INPUTS = {**_FLOATS, "tensor(uint8)": np.dtype(np.uint8)}


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: ``kind`` is ONNX Runtime's name of its type; of a shape, what the file
    leaves open is a name or None."""

    name: str
    kind: str
    shape: tuple[object, ...]

    def __str__(self) -> str:
        kind = self.kind.removeprefix("tensor(").removesuffix(")")
        shape = " x ".join(str(size) if isinstance(size, int) else "?" for size in self.shape)
        return f"{shape or 'any shape'} of {'float32' if kind == 'float' else kind}"

    @property
    def channels_last(self) -> bool:
        """Whether pictures are to be H x W x 3."""
        return len(self.shape) == 4 and self.shape[3] == CHANNELS != self.shape[1]


def session(path: Path, data: bytes, device: str) -> "ort.InferenceSession":
    # Here, because commands that only need a fingerprint should wait for neither.
    import onnxruntime as ort

    ort.disable_telemetry_events()  # on Windows; see the package's __init__ for the others
    try:
        onnxfile.check(data)
    except EncoderError as error:
        raise _refused(path, error.message, hint=error.hint) from None

    available = ort.get_available_providers()
    if PROVIDERS.get(device) not in available:
        usable = ", ".join(d for d, provider in PROVIDERS.items() if provider in available)
        raise EncoderError(
            f"device {device!r} is not available in the installed ONNX Runtime",
            hint=f"Usable here: {usable}. For CUDA install onnxruntime-gpu instead of onnxruntime.",
        )
    options = ort.SessionOptions()
    options.log_severity_level = 4  # its own log would write into ours; errors are raised
    options.intra_op_num_threads = 1  # see PER_THREAD
    try:
        # Its fallback would take the CPU instead, and say so on stdout.
        return ort.InferenceSession(
            data, options, providers=[PROVIDERS[device]], enable_fallback=False
        )
    except Exception as error:  # ONNX Runtime's errors share no public base
        raise _not_loaded(path, one_line(error)) from None


def _not_loaded(path: Path, reason: str) -> EncoderError:
    """The error of a model that ONNX Runtime does not take, from what it says of that."""
    import onnxruntime as ort

    newer = {
        "opset": re.search(r"Opset (\d+) is under.* domain (\S+) is till opset (\d+)", reason),
        "IR": re.search(r"IR version: (\d+), max() supported IR version: (\d+)", reason),
    }
    for what, found in newer.items():
        if found:
            own = "" if found[2] in ("", "ai.onnx") else f" of {found[2]}"
            return EncoderError(
                f"{path} is written in {what} version {found[1]}{own}, and ONNX Runtime "
                f"{ort.__version__} knows those up to {found[3]}",
                hint=f"Export it again with {what} version {found[3]} or an older one, or install "
                "a newer onnxruntime.",
            )
    return _refused(path, reason)


def _refused(path: Path, reason: str, *, hint: str = "") -> EncoderError:
    return EncoderError(
        f"{path} is not a usable ONNX model: {reason}",
        hint=hint or "Export it again to one .onnx file; onnx.checker finds what is wrong in it.",
    )


def unusable(path: Path, reason: str) -> EncoderError:
    return EncoderError(
        f"{path} cannot be used as an encoder: {reason}",
        hint="Write the preprocessing into the file's metadata; "
        "docs/how-to/own-encoder.md shows how.",
    )


def clean(name: str) -> str:
    """The name as one short line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:MAX_TEXT]


def described(path: Path, session: "ort.InferenceSession") -> tuple[dict[str, str], Tensor, Tensor]:
    """Metadata, input and output. Raises EncoderError where these are not an encoder's."""
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        inputs, outputs = (
            [Tensor(tensor.name, tensor.type, tuple(tensor.shape)) for tensor in tensors]
            for tensors in (session.get_inputs(), session.get_outputs())
        )
    except UnicodeDecodeError:
        raise unusable(path, "its names and metadata are not text in UTF-8") from None
    if len(inputs) != 1 or len(outputs) != 1:
        some = [clean(f"{one.name} ({one})") for one in (*inputs, *outputs)[:SHOWN]]
        raise EncoderError(
            f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: {', '.join(some)}"
            + ", ..." * (len(inputs) + len(outputs) > SHOWN),
            hint="An encoder has one input, the pictures, and one output, the vectors: export it "
            "without the others.",
        )
    (pictures,), (vectors,) = inputs, outputs
    for what, one, taken in (("input", pictures, INPUTS), ("output", vectors, _FLOATS)):
        if one.kind not in taken:
            names = ", ".join(map(str, taken.values()))
            raise EncoderError(
                f"{path} has an {what} of a type that is not taken: {one}",
                hint=f"An encoder's {what} is of one of these types: {names}. Export it so; the "
                "layers inside may be of any.",
            )
    return metadata, pictures, vectors


def with_raw_pixels(path: Path, metadata: dict[str, str]) -> dict[str, str]:
    """The metadata of a network that takes uint8, with mean and std that leave pixels alone."""
    given = sorted({"mean", "std"} & metadata.keys())
    if given:
        raise EncoderError(
            f"{path} has an input of uint8, which gets the pixels as they are, 0 to 255, and "
            f"{' and '.join(given)} in its metadata, which could not be applied",
            hint="Leave mean and std out where the network scales pixels itself; else export it "
            "with an input of float32 or float16.",
        )
    return metadata | {"mean": "0,0,0", "std": ",".join([repr(1 / 255)] * CHANNELS)}


def check_shape(path: Path, pictures: Tensor, size: tuple[int, int]) -> None:
    """Raise EncoderError where pictures of that height and width do not fit the input's shape."""
    shape = pictures.shape
    if not shape:
        return  # it says nothing
    if len(shape) != 4:
        raise EncoderError(
            f"{path} takes {pictures}, which are no pictures",
            hint="An encoder's input is N x 3 x height x width, or N x height x width x 3.",
        )
    last = pictures.channels_last
    channels, own = (shape[3], shape[1:3]) if last else (shape[1], shape[2:])
    if isinstance(channels, int) and channels != CHANNELS:
        raise EncoderError(
            f"{path} takes {pictures}: {channels} channels, where pictures have {CHANNELS}",
            hint="An encoder's input is N x 3 x height x width, or N x height x width x 3.",
        )
    if any(isinstance(a, int) and a != b for a, b in zip(own, size, strict=True)):
        wanted = " x ".join(str(n) if isinstance(n, int) else "any" for n in own)
        layout = "N x height x width x 3" if last else "N x 3 x height x width"
        turned = " Height and width seem to be swapped." if own == size[::-1] else ""
        raise EncoderError(
            f"{path} takes pictures of {wanted} pixels, height x width ({pictures}, read as "
            f"{layout}), and the input_size in its metadata is {size[0]}x{size[1]}",
            hint=f"input_size is height x width: write what the network takes.{turned}",
        )


def one_line(error: Exception) -> str:
    """What ONNX Runtime says, without the place in its own source that it names."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"/onnxruntime_src/\S+ .*?\) (?=[A-Z])", "", text)[:1000]
