"""Decode one picture file to RGB, whatever its mode, and say plainly when it cannot be done."""

import functools
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError, features

from reidsearch.errors import ImageError
from reidsearch.pictures import depths

# Named one by one: Pillow also opens formats that start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")
# Of these Pillow, or a plug-in, may have the decoder or not.
AVIF, HEIF = "AVIF", "HEIF"
JPEG = b"\xff\xd8"  # how such a file begins
TURNING = frozenset({"exif", "xmp"})  # what of a JPEG may say that it is to be turned
AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
# A person crop is a few thousand pixels. 40 megapixels admits any camera's full frame and keeps
# one decoded picture near 120 MB.
MAX_PIXELS = 40_000_000
MAX_SIDE = 65_535  # as JPEG; resizing takes memory by the side, not by the pixels
THUMBNAIL = 128  # pixels of a small picture's longer side
LARGE = 4_000_000  # pixels; a decoder holds several copies, so only one such picture at a time
# Below this an encoder would be shown nothing but a few blurred spots.
LEAST_WIDTH, LEAST_HEIGHT = 8, 16  # pixels
# Crops of one person have been seen from as wide as tall (seated, or cut off) to five times as
# tall as wide; a frame of a camera that is not turned is wider than tall.
MOST_SLENDER = 6.0  # height over width
# A small camera's whole frame, turned. Crops, even from 4K, are rarely as large.
FRAME_PIXELS = 720 * 1280

_one_large = threading.Lock()


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded file: ``pixels``, H x W x 3 RGB or H x W grey, uint8, perhaps resized from
    ``width`` x ``height`` pixels. ``depth`` says which range of a picture of more than 8 bits
    became 0 to 255, like "12 bits"; None where it is the whole of its format's."""

    pixels: NDArray[np.uint8] = field(repr=False, compare=False)
    width: int
    height: int
    depth: str | None = None

    @property
    def unlike_crop(self) -> str | None:
        """Why this is hardly a crop of one person, by size or shape; None where it may be one."""
        size = f"{self.width} x {self.height} pixels"
        if self.width < LEAST_WIDTH or self.height < LEAST_HEIGHT:
            return f"{size}, too few to show a person"
        if self.width > self.height:
            return f"{size}, wider than tall"
        if self.height > MOST_SLENDER * self.width:
            return f"{size}, far too narrow for a person"
        if self.width * self.height >= FRAME_PIXELS:
            return f"{size}, as large as a camera's whole frame"
        return None


def decode(data: bytes, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The pixels of ``picture`` alone. Raises ImageError as it does."""
    return picture(data, size=size).pixels


def picture(data: bytes, *, size: tuple[int, int] | None = None) -> Picture:
    """The picture in ``data``.

    EXIF rotation is applied; of an animation the first frame is taken; transparency is laid on
    white. What has 16 bits is scaled to 8 from the least usual depth (8, 10, 12, 14, 16) that
    holds its brightest pixel, as infrared cameras put 12 bits into 16; of 32 bits or floating point
    from its brightest pixel. With ``size`` = (height, width) the picture is resized bilinearly with
    antialiasing, as torchvision's ``Resize`` does on Pillow images.

    Raises ImageError for anything that is not a complete picture of a known format, or has more
    than MAX_PIXELS pixels, or more than MAX_SIDE on a side.
    """
    with _opened(data) as image:
        lower = depths.lower_bytes(image, data, _formats(data))
        ImageOps.exif_transpose(image, in_place=True)
        rgb, depth = depths.to_rgb(image)
        if lower is not None and lower.size == image.size:
            rgb, depth = depths.colours_of_16_bits(image, lower)
        width, height = rgb.size
        if size is not None and (height, width) != size:
            rgb = rgb.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return Picture(np.asarray(rgb), width, height, depth)


def thumbnail(picture: Picture) -> bytes:
    """The picture as a small JPEG, at most THUMBNAIL pixels a side: about 2 kB."""
    image = Image.fromarray(picture.pixels)
    # Its own shape: pixels may have been resized to an encoder's.
    scale = THUMBNAIL / max(picture.height, picture.width)
    width, height = (max(1, round(scale * side)) for side in (picture.width, picture.height))
    buffer = io.BytesIO()
    image.resize((width, height)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def grey(data: bytes, *, size: tuple[int, int]) -> Picture:
    """The picture in ``data`` in grey, H x W, resized as ``picture`` does; several times as fast,
    as of a JPEG only the brightness is decoded, and no larger than needed.

    Raises ImageError as ``picture`` does.
    """
    if data[:2] != JPEG:
        found = picture(data)
        wide = Image.fromarray(found.pixels).convert("L")
        width, height = found.width, found.height
    else:
        with _opened(data) as image:
            width, height = image.size
            image.draft("L", (size[1], size[0]))
            if not TURNING.isdisjoint(image.info):  # reading nothing takes its time, too
                if image.getexif().get(ExifTags.Base.Orientation, 1) > 4:
                    width, height = height, width
                ImageOps.exif_transpose(image, in_place=True)
            wide = image.convert("L")
    if wide.size != (size[1], size[0]):
        wide = wide.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return Picture(np.asarray(wide), width, height)


@contextmanager
def _opened(data: bytes) -> Iterator[ImageFile.ImageFile]:
    """The picture in ``data``, not decoded yet; whatever goes wrong is an ImageError."""
    try:
        with _quiet, Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            _check_size(image)
            with _one_large if image.width * image.height > LARGE else nullcontext():
                yield image
    except UnidentifiedImageError:
        raise ImageError("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise ImageError("far too many pixels (a decompression bomb?)") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on hostile bytes
        raise ImageError(f"damaged or truncated: {_one_line(error)}") from None


def _formats(data: bytes) -> tuple[str, ...]:
    """The formats that the file may have. Raises ImageError where nothing here can decode it."""
    if data[4:8] != b"ftyp":  # no container of the kind that HEIC and AVIF are kept in
        return FORMATS
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[at : at + 4] for at in (8, *range(16, size, 4))}
    if brands & AVIF_BRANDS:
        if not features.check("avif"):
            raise ImageError("an AVIF picture, which the installed Pillow cannot decode")
        return (AVIF,)
    if brands & HEIF_BRANDS:
        if not _can_read_heif():
            raise ImageError("a HEIC picture, and pillow-heif is not installed")
        return (HEIF,)
    return FORMATS


@functools.cache
def _can_read_heif() -> bool:
    """Whether Pillow's plug-in for HEIC is installed; it is told to Pillow."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if min(width, height) < 1:
        raise ImageError(f"{width} x {height} pixels are no picture")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{width} x {height} pixels is more than the "
            f"{MAX_PIXELS // 1_000_000} megapixels allowed"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"{width} x {height} pixels is more than the {MAX_SIDE} allowed on a side")


class _Quiet:
    """Silences warnings while any thread is inside.

    Python's list of warning filters belongs to the process. Were each thread to save and restore
    it for itself, they would restore it in the wrong order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._saved.__exit__(None, None, None)


_quiet = _Quiet()  # Pillow warns of bombs and of odd EXIF; we check for ourselves


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
