"""Pictures as small as they are shown, in their own shape."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from reidsearch.errors import ImageError
from reidsearch.pictures import contents, decoding
from reidsearch.views.verdicts import Probe

if TYPE_CHECKING:
    from reidsearch.search.answer import Hit

Size = tuple[int, int]  # height, width
JPEG = b"\xff\xd8\xff"  # how a file begins
SMALL = 24_000  # bytes, about as many as a thumbnail takes


def fitted(picture: str | bytes, size: Size, *, enlarge: bool = False) -> Image.Image | str:
    """A picture, a file's path or its bytes, no larger than that size (height, width) and in its
    own shape; as large as fits with ``enlarge``. Where it cannot be read, why."""
    try:
        data = contents.read_bytes(Path(picture)) if isinstance(picture, str) else picture
        image = Image.fromarray(decoding.decode(data))
    except ImageError as error:  # the file has gone or changed since it was stored
        return error.message
    scale = min(size[0] / image.height, size[1] / image.width)
    if scale < 1 or (enlarge and scale > 1):
        width, height = (max(1, round(scale * side)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return image


def of_probe(probe: Probe, size: Size, *, enlarge: bool = False) -> Image.Image | str:
    """The picture that was searched with, as ``fitted``."""
    given = probe.query if probe.picture is None else probe.picture
    return fitted(given, size, enlarge=enlarge)


def of_hit(hit: "Hit", size: Size, *, enlarge: bool = False) -> Image.Image | str:
    """The stored picture, as ``fitted``."""
    try:
        return fitted(hit.path if hit.fetch is None else hit.fetch(), size, enlarge=enlarge)
    except ImageError as error:
        return error.message


def of_file(file: bytes, size: Size) -> str | ImageError:
    """A picture's data URL, for a page that holds it: a small JPEG as it is, which costs next to
    nothing; another one ``fitted``. Where it cannot be read, why."""
    if file.startswith(JPEG) and len(file) <= SMALL:
        return _url(file)
    picture = fitted(file, size)
    return ImageError(picture) if isinstance(picture, str) else data_url(picture, quality=85)


def data_url(picture: Image.Image, *, quality: int) -> str:
    """The picture as a JPEG of that quality, for a page that holds it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return _url(buffer.getvalue())


def _url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
