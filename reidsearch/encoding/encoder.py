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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reidsearch import files
from reidsearch.encoding import accuracy, network, thresholds
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.errors import EncoderError
from reidsearch.types import Pixels, Vectors

# Pictures a thread takes at once. On CPUs every thread runs the whole network on its own few
# pictures: their activations stay in its cache, and threads never wait for each other inside a
# layer. Accelerators want larger batches.
PER_THREAD = 16
PER_ACCELERATOR = 64
# What no encoder needs more of. Protocol Buffers, and so ONNX, end at 2 GiB.
MAX_BYTES = 2**31 - 1
MAX_DIMENSION = 65_536
MAX_BATCH = 1024  # that a file may fix


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
        self._session = network.session(path, data, device)
        on_cpu = device == "cpu"
        self._threads = _cores() if on_cpu else 1
        self._pool = ThreadPoolExecutor(self._threads)
        metadata, self._input, output = network.described(path, self._session)
        self._dtype = network.INPUTS[self._input.kind]
        if self._dtype == np.uint8:
            metadata = network.with_raw_pixels(path, metadata)
        try:
            self.preprocessing = Preprocessing.from_metadata(metadata)
        except ValueError as error:
            raise network.unusable(path, str(error)) from None
        try:
            self.thresholds = thresholds.of_encoder(self.fingerprint, metadata)
        except ValueError as error:
            raise network.unusable(path, str(error)) from None
        network.check_shape(path, self._input, self.size)
        self.name = network.clean(metadata.get("name", "")) or network.clean(path.stem)
        self.accuracy = accuracy.of_encoder(self.fingerprint, metadata)
        self.trained_on = network.clean(metadata.get("trained_on", ""))
        self.terms = network.clean(metadata.get("licence", ""))
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
            raise EncoderError(
                f"{self.path} failed on its input: {network.one_line(error)}"
            ) from None
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
        # Whole numbers again where they were not scaled, see network.with_raw_pixels.
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


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: respects taskset and container limits
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _normalised(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norms > 0, vectors / norms, np.float32(np.nan)).astype(np.float32)
