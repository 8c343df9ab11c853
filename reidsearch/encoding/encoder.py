"""The encoder: one ONNX file that says itself how it wants its pictures.

The file's metadata (``ModelProto.metadata_props``) holds, as text:

    name            what the encoder is called
    input_size      height x width in pixels, like 128x64
    mean, std       per channel, for pixels scaled to 0..1, like 0.485,0.456,0.406; none for uint8
    color_order     RGB or BGR
    flip_average    true where an image's vector is averaged with that of its mirror image
    thresholds      least cosines of one person by false match rate, as JSON; may be left out
    held_out        numbers on people held out from its training, as JSON; for people to read
    accuracy        numbers on data sets, as JSON (see that module); for people to read
    trained_on, licence   for people to read

Its one input is N x 3 x H x W, or N x H x W x 3 where its shape says so, of float32 or float16; or
of uint8, which gets the pixels as they are, so that mean and std are left out. Its one output is
N x D of float32 or float16; vectors are scaled to unit length here, so that the cosine is their dot
product.
"""

import hashlib
import math
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reidsearch import files
from reidsearch.encoding import accuracy, onnxfile, thresholds
from reidsearch.errors import EncoderError
from reidsearch.types import Pixels, Vectors

if TYPE_CHECKING:
    import onnxruntime as ort


# Pictures a thread takes at once. On CPUs every thread runs the whole network on its own few
# pictures: their activations stay in its cache, and threads never wait for each other inside a
# layer. Accelerators want larger batches.
PER_THREAD = 16
PER_ACCELERATOR = 64
# What no encoder needs more of. Protocol Buffers, and so ONNX, end at 2 GiB.
MAX_BYTES = 2**31 - 1
MAX_DIMENSION = 65_536
MAX_BATCH = 1024  # that a file may fix
MAX_TEXT = 200  # characters of a metadata value
MAX_FACTOR = 1e6  # of mean and std, and std's inverse
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
_INPUTS = {**_FLOATS, "tensor(uint8)": np.dtype(np.uint8)}
CHANNELS = 3


@dataclass(frozen=True, slots=True)
class _Tensor:
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


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What stands between a decoded picture and the network. Sizes in pixels."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    color_order: str = "RGB"
    flip_average: bool = False

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> "Preprocessing":
        """Read it from a model's metadata. Raises ValueError that names what is wrong."""
        missing = {"input_size", "mean", "std"} - metadata.keys()
        if missing:
            raise ValueError(f"its metadata has no {', '.join(sorted(missing))}")
        for key in ("input_size", "mean", "std", "color_order", "flip_average"):
            if len(metadata.get(key, "")) > MAX_TEXT:
                raise ValueError(f"{key} has more than {MAX_TEXT} characters")
        try:
            height, width = (int(part) for part in metadata["input_size"].split("x"))
        except ValueError:
            raise ValueError(f"input_size {metadata['input_size']!r} is not like 128x64") from None
        if not (0 < height <= 4096 and 0 < width <= 4096):
            raise ValueError(f"input_size {metadata['input_size']!r} is out of range")
        order = metadata.get("color_order", "RGB").upper()
        if order not in ("RGB", "BGR"):
            raise ValueError(f"color_order {order!r} is neither RGB nor BGR")
        std = _triple("std", metadata["std"])
        if min(std) <= 0:
            raise ValueError("std must be positive")
        mean = _triple("mean", metadata["mean"])
        if max(*map(abs, mean), *std, *(1 / s for s in std)) > MAX_FACTOR:
            raise ValueError("mean or std is out of range")
        return cls(
            height=height,
            width=width,
            mean=mean,
            std=std,
            color_order=order,
            flip_average=metadata.get("flip_average", "false").lower() == "true",
        )

    def to_metadata(self) -> dict[str, str]:
        """The inverse of ``from_metadata``."""
        return {
            "input_size": f"{self.height}x{self.width}",
            "mean": ",".join(map(repr, self.mean)),
            "std": ",".join(map(repr, self.std)),
            "color_order": self.color_order,
            "flip_average": str(self.flip_average).lower(),
        }

    def __call__(self, images: Pixels) -> NDArray[np.float32]:
        """N x H x W x 3 RGB uint8 -> N x 3 x H x W float32, normalised."""
        if self.color_order == "BGR":
            images = images[..., ::-1]
        scale: NDArray[np.float32] = np.array([1 / (255 * s) for s in self.std], dtype=np.float32)
        pairs = zip(self.mean, self.std, strict=True)
        shift: NDArray[np.float32] = np.array([m / s for m, s in pairs], dtype=np.float32)
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        planes *= scale[:, None, None]
        planes -= shift[:, None, None]
        return planes


class Encoder:
    """An ONNX Runtime session with the preprocessing its file asks for.

    ``fingerprint`` is the SHA-256 of the file, ``dimension`` the length of its vectors, ``batch``
    the number of pictures it encodes best at once. ``thresholds`` are the cosines by false match
    rate that it brings, None where it brings none. ``accuracy``, ``trained_on`` and ``terms`` are
    for people to read, and may be empty.
    """

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        """Load the model file. Raises EncoderError where it is no usable encoder."""
        self.path = path
        data = _read(path)
        self.fingerprint = _fingerprint(data)
        self._session = _session(path, data, device)
        on_cpu = device == "cpu"
        self._threads = _cores() if on_cpu else 1
        self._pool = ThreadPoolExecutor(self._threads)
        metadata, self._input, output = _described(path, self._session)
        self._dtype = _INPUTS[self._input.kind]
        if self._dtype == np.uint8:
            metadata = _with_raw_pixels(path, metadata)
        try:
            self.preprocessing = Preprocessing.from_metadata(metadata)
        except ValueError as error:
            raise _unusable(path, str(error)) from None
        try:
            self.thresholds = thresholds.of_encoder(self.fingerprint, metadata)
        except ValueError as error:
            raise _unusable(path, str(error)) from None
        _check_shape(path, self._input, self.size)
        self.name = _clean(metadata.get("name", "")) or _clean(path.stem)
        self.accuracy = accuracy.of_encoder(self.fingerprint, metadata)
        self.trained_on = _clean(metadata.get("trained_on", ""))
        self.terms = _clean(metadata.get("licence", ""))
        fixed = next(iter(self._input.shape), None)
        self._fixed_batch = fixed if isinstance(fixed, int) else None
        if self._fixed_batch is not None and not 0 < self._fixed_batch <= MAX_BATCH:
            raise EncoderError(f"{path} takes {fixed} pictures at once; at most {MAX_BATCH} can be")
        self._per_thread = self._fixed_batch or (PER_THREAD if on_cpu else PER_ACCELERATOR)
        self.batch = self._threads * self._per_thread
        self.dimension = self._measure_dimension(output.shape)
        if not 0 < self.dimension <= MAX_DIMENSION:
            raise EncoderError(
                f"{path} makes vectors of {self.dimension} numbers",
                hint=f"An encoder's vectors have between 1 and {MAX_DIMENSION}.",
            )

    def encode(self, images: Pixels, *, alone: bool = False) -> Vectors:
        """N x H x W x 3 RGB uint8, of the encoder's size -> N x D float32 of unit length.

        A vector that is zero or not finite comes back as NaN; the caller decides what to do. In its
        last digits a vector depends on how many pictures the network is given at once; where each
        is encoded ``alone``, it does not, at a sixth more of a CPU's time.
        N must be positive. Raises EncoderError where the network fails.
        """
        size = self._per_thread if not alone else self._fixed_batch or 1
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        vectors = np.concatenate(list(self._pool.map(self._encode_part, parts)))
        if vectors.shape[1] != self.dimension:
            raise EncoderError(
                f"{self.path} made vectors of {vectors.shape[1]} numbers, not {self.dimension}"
            )
        return vectors

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures, in pixels."""
        return self.preprocessing.height, self.preprocessing.width

    def _encode_part(self, images: Pixels) -> Vectors:
        vectors = self._run(images)
        if self.preprocessing.flip_average:
            vectors = _normalised(vectors) + _normalised(self._run(images[:, :, ::-1]))
        return _normalised(vectors)

    def _run(self, images: Pixels) -> Vectors:
        count = len(images)
        if self._fixed_batch is not None:  # fill up with copies of the last picture
            images = np.concatenate([images, images[-1:].repeat(self._fixed_batch - count, axis=0)])
        try:
            (raw,) = self._session.run(None, {self._input.name: self._prepared(images)})
            vectors = np.asarray(raw, dtype=np.float32)
        except Exception as error:  # ONNX Runtime's errors share no public base
            raise EncoderError(f"{self.path} failed on its input: {_one_line(error)}") from None
        if vectors.ndim < 2 or len(vectors) != len(images):
            raise EncoderError(
                f"{self.path} made an array of shape {vectors.shape} of {len(images)} pictures",
                hint="An encoder's output has one row for each picture.",
            )
        return vectors.reshape(len(images), math.prod(vectors.shape[1:]))[:count]

    def _prepared(self, images: Pixels) -> NDArray[np.generic]:
        """The pictures as the network takes them."""
        planes: NDArray[np.generic] = self.preprocessing(images)
        if self._input.channels_last:
            planes = planes.transpose(0, 2, 3, 1)
        # Whole numbers again where they were not scaled, see _with_raw_pixels.
        planes = planes.round() if self._dtype == np.uint8 else planes
        with np.errstate(over="ignore"):  # in float16: then the vectors tell
            return np.ascontiguousarray(planes, dtype=self._dtype)

    def _measure_dimension(self, shape: Sequence[object]) -> int:
        if len(shape) == 2 and isinstance(shape[-1], int):
            return shape[-1]
        grey = np.full((1, *self.size, 3), 128, dtype=np.uint8)
        return int(self._run(grey).shape[1])


def fingerprint(path: Path) -> str:
    """The fingerprint alone, without loading the network. Raises EncoderError as Encoder does."""
    return _fingerprint(_read(path))


def _fingerprint(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes:
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise EncoderError(
                    f"the encoder {path} is too large: {size / 1e9:.1f} GB",
                    hint="An ONNX file has less than 2 GiB.",
                )
            return file.read(size)
    except OSError as error:
        raise EncoderError(
            f"the encoder {path} cannot be read: {error.strerror}",
            hint="Check the path, or leave out {encoder} to use the one that comes with "
            "reidsearch.",
        ) from None


def _session(path: Path, data: bytes, device: str) -> "ort.InferenceSession":
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
        raise _not_loaded(path, _one_line(error)) from None


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


def _unusable(path: Path, reason: str) -> EncoderError:
    return EncoderError(
        f"{path} cannot be used as an encoder: {reason}",
        hint="Write the preprocessing into the file's metadata; "
        "docs/how-to/own-encoder.md shows how.",
    )


def _clean(name: str) -> str:
    """The name as one short line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:MAX_TEXT]


def _described(
    path: Path, session: "ort.InferenceSession"
) -> tuple[dict[str, str], _Tensor, _Tensor]:
    """Metadata, input and output. Raises EncoderError where these are not an encoder's."""
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        inputs, outputs = (
            [_Tensor(tensor.name, tensor.type, tuple(tensor.shape)) for tensor in tensors]
            for tensors in (session.get_inputs(), session.get_outputs())
        )
    except UnicodeDecodeError:
        raise _unusable(path, "its names and metadata are not text in UTF-8") from None
    if len(inputs) != 1 or len(outputs) != 1:
        some = [_clean(f"{one.name} ({one})") for one in (*inputs, *outputs)[:SHOWN]]
        raise EncoderError(
            f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: {', '.join(some)}"
            + ", ..." * (len(inputs) + len(outputs) > SHOWN),
            hint="An encoder has one input, the pictures, and one output, the vectors: export it "
            "without the others.",
        )
    (pictures,), (vectors,) = inputs, outputs
    for what, one, taken in (("input", pictures, _INPUTS), ("output", vectors, _FLOATS)):
        if one.kind not in taken:
            names = ", ".join(map(str, taken.values()))
            raise EncoderError(
                f"{path} has an {what} of a type that is not taken: {one}",
                hint=f"An encoder's {what} is of one of these types: {names}. Export it so; the "
                "layers inside may be of any.",
            )
    return metadata, pictures, vectors


def _with_raw_pixels(path: Path, metadata: dict[str, str]) -> dict[str, str]:
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


def _check_shape(path: Path, pictures: _Tensor, size: tuple[int, int]) -> None:
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


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: respects taskset and container limits
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _normalised(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norms > 0, vectors / norms, np.float32(np.nan)).astype(np.float32)


def _triple(key: str, text: str) -> tuple[float, float, float]:
    try:
        r, g, b = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{key} {text!r} is not three numbers like 0.5,0.5,0.5") from None
    if not all(map(math.isfinite, (r, g, b))):
        raise ValueError(f"{key} {text!r} is not finite")
    return r, g, b


def _one_line(error: Exception) -> str:
    """What ONNX Runtime says, without the place in its own source that it names."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"/onnxruntime_src/\S+ .*?\) (?=[A-Z])", "", text)[:1000]
