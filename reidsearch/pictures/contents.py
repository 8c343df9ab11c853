"""The bytes of a picture's file: of the one that is meant, and no more than a picture has."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from reidsearch import files
from reidsearch.errors import ImageError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
    | {".avif", ".heic", ".heif"}
)
MAX_BYTES = 100_000_000


def read_bytes(path: Path) -> bytes:
    """The file's content. Raises ImageError where it cannot be read or cannot be a picture."""
    with _explained(), files.open_regular(path) as file:
        return _content(file)


def read_inside(root: Path, relative: str, *, follow_links: bool = False) -> bytes:
    """The content of the file at ``relative`` below ``root``.

    Raises ImageError as ``read_bytes`` does, and where the file lies elsewhere: links are followed
    inside ``root`` alone, or wherever they lead with ``follow_links``.
    """
    if follow_links:
        return read_bytes(root / relative)
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
