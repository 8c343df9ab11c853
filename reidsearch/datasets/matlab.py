"""MATLAB's files of version 5: the numbers and texts that data sets keep lists in.

Format: "MAT-File Format", The MathWorks. Read are matrices of whole numbers and cells of texts,
packed or not; whatever else a file holds is passed over.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import DatasetError

HEADER = 128  # bytes
MAX_BYTES = 64 << 20  # of a file, and of what comes out of it; lists have less than one MB
_MATRIX, _PACKED = 14, 15  # kinds of element
_CELLS, _TEXT = 1, 4  # kinds of matrix
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8"}
_ORDERS = {b"IM": "<", b"MI": ">"}


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    content: bytes


@dataclass(frozen=True, slots=True)
class _Matrix:
    """``parts`` are its numbers or characters, or for each cell a matrix."""

    name: str
    kind: int
    shape: tuple[int, ...]
    parts: list[_Element]
    order: str


def numbers(path: Path, name: str) -> NDArray[np.int64]:
    """The whole numbers of that name, rows x columns. Raises DatasetError where the file cannot be
    read, or has none."""
    with _readable(path):
        for matrix in _matrices(path):
            form = _NUMBERS.get(matrix.parts[0].kind) if matrix.parts else None
            if matrix.name != name or form is None or len(matrix.shape) != 2:
                continue
            values = np.frombuffer(matrix.parts[0].content, matrix.order + form)
            with np.errstate(invalid="ignore"):
                whole = values.astype(np.int64)
            if np.array_equal(whole, values):
                return whole.reshape(matrix.shape, order="F")
    raise DatasetError(f"{path} has no whole numbers called {name}", hint="Get it anew.")


def texts(path: Path, name: str) -> list[str]:
    """The texts in the cells of that name. Raises DatasetError where the file cannot be read, or
    has none."""
    with _readable(path):
        for matrix in _matrices(path):
            if matrix.name == name and matrix.kind == _CELLS:
                return [_text(part, matrix.order) for part in matrix.parts]
    raise DatasetError(f"{path} has no texts called {name}", hint="Get it anew.")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raises DatasetError where a file cannot be read or understood."""
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, struct.error, zlib.error) as error:
        raise DatasetError(f"{path} is damaged: {error}", hint="Get it anew.") from None


def _matrices(path: Path) -> Iterator[_Matrix]:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError("it is too large for a list")
    data = path.read_bytes()
    order = _ORDERS.get(data[HEADER - 2 : HEADER])
    if order is None:
        raise ValueError("it is no MATLAB file of version 5")
    for element in _elements(data[HEADER:], order, left=MAX_BYTES):
        if element.kind == _MATRIX:
            yield _matrix(element, order)


def _elements(data: bytes, order: str, *, left: int = 0) -> Iterator[_Element]:
    """What stands one after the other. Packed ones come unpacked, ``left`` bytes in all, and are in
    no other. Raises ValueError where they are more, or cut short, struct.error, zlib.error."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small one has its content beside its size
            kind, size = kind & 0xFFFF, kind >> 16
            start, following = at + 4, at + 8
        else:
            start = at + 8
            following = start + size + (-size % 8 if kind != _PACKED else 0)
        content = data[start : start + size]
        if len(content) < size:
            raise ValueError("it is cut short")
        at = following
        if kind != _PACKED:
            yield _Element(kind, content)
            continue
        content = zlib.decompressobj().decompress(content, left + 1)
        left -= len(content)
        if left < 0:
            raise ValueError("it unpacks to too much")
        yield from _elements(content, order)


def _matrix(element: _Element, order: str) -> _Matrix:
    """Raises ValueError where it is none."""
    flags, shape, name, *parts = _elements(element.content, order)
    (kind,) = struct.unpack_from(f"{order}I", flags.content)
    return _Matrix(
        name.content.decode(),
        kind & 0xFF,
        tuple(int(length) for length in np.frombuffer(shape.content, f"{order}i4")),
        parts,
        order,
    )


def _text(element: _Element, order: str) -> str:
    """Raises ValueError where it is none."""
    matrix = _matrix(element, order)
    if matrix.kind != _TEXT or len(matrix.parts) != 1:
        raise ValueError("a cell holds no text")
    (characters,) = matrix.parts
    if characters.kind in (4, 17):
        return characters.content.decode("utf-16-le" if order == "<" else "utf-16-be")
    return characters.content.decode()
