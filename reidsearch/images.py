"""Decode one picture file to RGB, whatever its mode, and say plainly when it cannot be done."""

import io
import stat
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from reidsearch.errors import ImageError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
# Named one by one: Pillow also opens formats that start other programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")
# A person crop is a few thousand pixels. 40 megapixels admits any camera's full frame and keeps
# one decoded picture near 120 MB.
MAX_PIXELS = 40_000_000
MAX_BYTES = 100_000_000


def read_bytes(path: Path) -> bytes:
    """The file's content. Raises ImageError where it cannot be read or cannot be a picture."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ImageError("not a regular file")
        if info.st_size == 0:
            raise ImageError("the file is empty (0 bytes)")
        if info.st_size > MAX_BYTES:
            raise ImageError(
                f"{info.st_size / 1e6:.0f} MB is too large for a picture of one person"
            )
        return path.read_bytes()
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
    than MAX_PIXELS pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own bomb and EXIF warnings; we check below
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(
                        f"{image.width} x {image.height} pixels is more than the "
                        f"{MAX_PIXELS // 1_000_000} megapixels allowed"
                    )
                rgb = _to_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise ImageError("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise ImageError("far too many pixels (a decompression bomb?)") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly anything on hostile bytes
        raise ImageError(f"damaged or truncated: {_one_line(error)}") from None
    if size is not None and (rgb.height, rgb.width) != size:
        rgb = rgb.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(rgb)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith(("I", "F")):  # Pillow would clip these at 255 instead of scaling
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I") else max(float(values.max()), 1e-9)
        grey = np.clip(values / top * 255, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if "A" in image.mode or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
