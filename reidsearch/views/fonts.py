"""Letters in pictures: names are of every script; Pillow's own font has ASCII alone, with spaces
that are hardly seen."""

import unicodedata
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

# Where the systems of this world keep letters of many scripts; Pillow looks in their folders.
FILES = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf", "segoeui.ttf",
    "Arial Unicode.ttf", "NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc",
    "Hiragino Sans GB.ttc", "NotoSansArabic-Regular.ttf", "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf", "Nirmala.ttf",
)  # fmt: skip
WIDE = "  "  # a space in Pillow's own font, whose is 2 pixels in letters of 11
MISSING = "\uffff"  # no letter, ever: it shows as a font shows what it has not
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def drawn(text: str, size: int) -> tuple[Font, str]:
    """A font of that size in pixels that has all letters of a text, and the text.

    Where none is found, letters lose their accents, and others are told by their numbers:
    ``Zoë`` is ``Zoe``, and ``עלי`` is ``\\u05e2\\u05dc\\u05d9``.
    """
    for file in _files():
        font = _font(file, size)
        if font is not None and all(_has(file, letter) for letter in text):
            return font, text
    plain = "".join(map(_plain, text))
    return ImageFont.load_default(size), plain.replace(" ", WIDE)


def _plain(letter: str) -> str:
    if letter.isascii():
        return letter
    base = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
    return base if base.isascii() else letter.encode("ascii", "backslashreplace").decode()


@lru_cache
def _files() -> tuple[str, ...]:
    """Candidates, the likeliest first; matplotlib brings one."""
    found = find_spec("matplotlib")
    folders = [Path(one) for one in found.submodule_search_locations or ()] if found else []
    own = (str(folder / "mpl-data/fonts/ttf" / FILES[0]) for folder in folders)
    return *own, *FILES


@lru_cache
def _font(file: str, size: int) -> ImageFont.FreeTypeFont | None:
    """A font that is there; None of others."""
    try:
        return ImageFont.truetype(file, size)
    except OSError:
        return None


@lru_cache(maxsize=4096)
def _has(file: str, letter: str) -> bool:
    """Whether a font has a letter."""
    font = _font(file, 12)
    if font is None or letter.isspace():
        return font is not None
    one, none = (font.getmask(text, "L") for text in (letter, MISSING))
    return one.size != none.size or bytes(one) != bytes(none)
