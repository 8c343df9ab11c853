"""The files that the page is made of, read once; nothing else of the disk is handed out."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "static"
PREFIX = "/page/"
STYLE = "style.css"  # made of the templates that reports share
KINDS = {".css": "text/css", ".js": "text/javascript"}


class Asset(NamedTuple):
    """A file's bytes and media type."""

    data: bytes
    kind: str


ASSETS: Mapping[str, Asset] = {
    file.name: Asset(file.read_bytes(), KINDS[file.suffix])
    for file in sorted(FOLDER.iterdir())
    if file.suffix in KINDS
}
PATHS = frozenset({"/", PREFIX + STYLE, *(PREFIX + name for name in ASSETS)})
"""What anybody may have: it tells nothing of what is stored."""
