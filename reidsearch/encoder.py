"""The encoder: one ONNX file that says itself how it wants its pictures.

The file's metadata (``ModelProto.metadata_props``) holds, as text:

    name            what the encoder is called
    input_size      height x width in pixels, like 128x64
    mean, std       per channel, for pixels scaled to 0..1, like 0.485,0.456,0.406
    color_order     RGB or BGR
    flip_average    true where an image's vector is averaged with that of its mirror image
    trained_on, licence   for people to read

Its one input is N x 3 x H x W float32, its one output N x D; vectors are scaled to unit length
here, so that the cosine is their dot product.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reidsearch import files, onnxfile
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
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}


_Tensor = tuple[str, Sequence[object]]  # name and shape


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
    the number of pictures it encodes best at once.
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
        metadata, (self._input, input_shape), (_, output_shape) = _described(path, self._session)
        try:
            self.preprocessing = Preprocessing.from_metadata(metadata)
        except ValueError as error:
            raise _unusable(path, str(error)) from None
        self.name = _clean(metadata.get("name", "")) or _clean(path.stem)
        fixed = next(iter(input_shape), None)  # a name or None where the file leaves it open
        self._fixed_batch = fixed if isinstance(fixed, int) else None
        if self._fixed_batch is not None and not 0 < self._fixed_batch <= MAX_BATCH:
            raise EncoderError(f"{path} takes {fixed} pictures at once; at most {MAX_BATCH} can be")
        self._per_thread = self._fixed_batch or (PER_THREAD if on_cpu else PER_ACCELERATOR)
        self.batch = self._threads * self._per_thread
        self.dimension = self._measure_dimension(output_shape)
        if not 0 < self.dimension <= MAX_DIMENSION:
            raise EncoderError(
                f"{path} makes vectors of {self.dimension} numbers",
                hint=f"An encoder's vectors have between 1 and {MAX_DIMENSION}.",
            )

    def encode(self, images: Pixels) -> Vectors:
        """N x H x W x 3 RGB uint8, of the encoder's size -> N x D float32 of unit length.

        A vector that is zero or not finite comes back as NaN; the caller decides what to do.
        N must be positive. Raises EncoderError where the network fails.
        """
        parts = [
            images[start : start + self._per_thread]
            for start in range(0, len(images), self._per_thread)
        ]
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
            (raw,) = self._session.run(None, {self._input: self.preprocessing(images)})
            vectors = np.asarray(raw, dtype=np.float32)
        except Exception as error:  # ONNX Runtime's errors share no public base
            raise EncoderError(f"{self.path} failed on its input: {_first_line(error)}") from None
        if vectors.ndim < 2 or len(vectors) != len(images):
            raise EncoderError(
                f"{self.path} made an array of shape {vectors.shape} of {len(images)} pictures",
                hint="An encoder's output has one row for each picture.",
            )
        return vectors.reshape(len(images), math.prod(vectors.shape[1:]))[:count]

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

    try:
        onnxfile.check(data)
    except EncoderError as error:
        raise _refused(path, error.message) from None

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
        raise _refused(path, _first_line(error)) from None


def _refused(path: Path, reason: str) -> EncoderError:
    return EncoderError(
        f"{path} is not a usable ONNX model: {reason}",
        hint="Give a single .onnx file with its weights inside.",
    )


def _unusable(path: Path, reason: str) -> EncoderError:
    return EncoderError(
        f"{path} cannot be used as an encoder: {reason}",
        hint="Write the preprocessing into the file's metadata; the README's section on "
        "your own encoder shows how.",
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
            [(tensor.name, tensor.type, tensor.shape) for tensor in tensors]
            for tensors in (session.get_inputs(), session.get_outputs())
        )
    except UnicodeDecodeError:
        raise _unusable(path, "its names and metadata are not text in UTF-8") from None
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0][1] != "tensor(float)":
        raise EncoderError(
            f"{path} has {len(inputs)} inputs and {len(outputs)} outputs",
            hint="An encoder has one float32 input, the pictures, and one output, the vectors.",
        )
    return metadata, inputs[0][::2], outputs[0][::2]


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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:1000]
