"""Decode one picture file to RGB, whatever its mode, and say plainly when it cannot be done."""

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from reidsearch import files
from reidsearch.errors import ImageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
# Named one by one: Pillow also opens formats that start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")
# A person crop is a few thousand pixels. 40 megapixels admits any camera's full frame and keeps
# one decoded picture near 120 MB.
MAX_PIXELS = 40_000_000
MAX_SIDE = 65_535  # as JPEG; resizing takes memory by the side, not by the pixels
MAX_BYTES = 100_000_000
LARGE = 4_000_000  # pixels; a decoder holds several copies, so only one such picture at a time
BAND = 256  # rows converted at once

_one_large = threading.Lock()


def read_bytes(path: Path) -> bytes:
    """The file's content. Raises ImageError where it cannot be read or cannot be a picture."""
    with _explained(), files.open_regular(path) as file:
        return _content(file)


def read_inside(root: Path, relative: str) -> bytes:
    """The content of the file at ``relative`` below ``root``.

    Raises ImageError as ``read_bytes`` does, and where the file lies elsewhere: links are followed
    inside ``root`` alone.
    """
    top = os.path.realpath(root)
    with _explained(), files.open_regular(_inside(top, relative)) as file:
        # Links may have changed while it was opened. What is there now must be what was opened.
        now = os.stat(_inside(top, relative), follow_symlinks=False)
        if not os.path.samestat(os.fstat(file.fileno()), now):
            raise ImageError("changed while it was read")
        return _content(file)


def _inside(top: str, relative: str) -> Path:
    try:
        real = os.path.realpath(os.path.join(top, relative))
    except ValueError:  # a NUL
        raise ImageError("cannot be read: no file can have this name") from None
    if not real.startswith(os.path.join(top, "")) and real != top:
        raise ImageError("leads out of the data set through a link")
    return Path(real)


def _content(file: BinaryIO) -> bytes:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise ImageError("the file is empty (0 bytes)")
    if size > MAX_BYTES:
        raise ImageError(f"{size / 1e6:.0f} MB is too large for a picture of one person")
    return file.read(size)  # and no more, where it is growing


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except PermissionError:
        raise ImageError("permission denied") from None
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or error}") from None


def decode(data: bytes, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The picture in ``data`` as H x W x 3 RGB, uint8.

    EXIF rotation is applied; of an animation the first frame is taken; transparency is laid on
    white; 16-bit grey is scaled to 8 bits. With ``size`` = (height, width) the picture is resized
    bilinearly with antialiasing, as torchvision's ``Resize`` does on Pillow images.

    Raises ImageError for anything that is not a complete picture of a known format, or has more
    than MAX_PIXELS pixels, or more than MAX_SIDE on a side.
    """
    try:
        with _quiet, Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            with _one_large if image.width * image.height > LARGE else nullcontext():
                ImageOps.exif_transpose(image, in_place=True)
                rgb = _to_rgb(image)
                if size is not None and (rgb.height, rgb.width) != size:
                    rgb = rgb.resize((size[1], size[0]), Image.Resampling.BILINEAR)
                return np.asarray(rgb)
    except UnidentifiedImageError:
        raise ImageError("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise ImageError("far too many pixels (a decompression bomb?)") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on hostile bytes
        raise ImageError(f"damaged or truncated: {_one_line(error)}") from None


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


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode == "RGB":
        return image
    white = _white(image)
    # Band by band, because some steps need several times the picture's memory.
    rgb = Image.new("RGB", image.size)
    for top in range(0, image.height, BAND):
        band = image.crop((0, top, image.width, min(top + BAND, image.height)))
        rgb.paste(_band_to_rgb(band, white), (0, top))
    return rgb


def _white(image: Image.Image) -> float:
    """The value that stands for white in a picture of more than 8 bits."""
    if not image.mode.startswith("F"):
        return 65535.0
    _, top = image.getextrema()
    assert isinstance(top, float)  # floats have one channel
    return max(top, 1e-9)


def _band_to_rgb(image: Image.Image, white: float) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # Pillow would clip these at 255 instead of scaling
        values = np.asarray(image, dtype=np.float64)
        grey = np.clip(values / white * 255, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if "A" in image.mode or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(paper, rgba).convert("RGB")
    return image.convert("RGB")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
