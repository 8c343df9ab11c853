"""A table in a text file, as spreadsheets and programs write them."""

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

from reidsearch.datasets import columns
from reidsearch.errors import DatasetError

DELIMITERS = (",", ";", "\t", "|")
CHUNK = 1 << 20  # bytes; as long is no line
_BOMS = (  # UTF-32's first: UTF-16's is how it begins
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


class Rows(Protocol):
    """Rows one after the other, as csv.reader gives them."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


@dataclass(frozen=True)
class Table:
    """``header`` is the first row, ``rows`` are those below it, whose ``line_num`` is the line that
    was read last, less the ``lines_above`` them. ``guessed`` says that the encoding is a guess."""

    header: list[str]
    rows: Rows
    lines_above: int
    encoding: str
    guessed: bool


@contextmanager
def opened(path: Path) -> Iterator[Table]:
    """The table in a file: UTF-8, UTF-16 or UTF-32 with or without a mark, or else Windows-1252;
    with commas, semicolons, tabs or bars between its cells, whichever make most of its header.

    Raises DatasetError where it cannot be read, here and while rows are.
    """
    try:
        encoding, guessed = _encoding(path)
        with path.open(encoding=encoding, newline="") as file:
            above = 0
            while (first := file.readline()) and not first.strip():
                above += 1
            delimiter = _told(first)
            if delimiter is not None:
                first, above = file.readline(), above + 1
            delimiter = delimiter or _delimiter(first, tabs=path.suffix.lower() == ".tsv")
            rows = csv.reader(chain([first] if first else [], file), delimiter=delimiter)
            yield Table(next(rows, []), rows, above, encoding, guessed)
    except (UnicodeError, csv.Error) as error:
        raise DatasetError(
            f"{path} is not a readable CSV: {error}", hint="Save it as UTF-8, comma-separated."
        ) from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None


def _encoding(path: Path) -> tuple[str, bool]:
    """The encoding of a file's text, and whether it is a guess. Raises csv.Error where a line is
    far too long to be one."""
    utf8 = codecs.getincrementaldecoder("utf-8")()
    valid = True
    undefined = False  # bytes that Windows-1252 has no character for
    with path.open("rb") as file:
        start = b""
        while chunk := file.read(CHUNK):
            start = start or chunk[:4]
            if len(chunk) == CHUNK and b"\n" not in chunk and b"\r" not in chunk:
                raise csv.Error(f"a line has more than {CHUNK} bytes")
            try:
                valid = valid and bool(utf8.decode(chunk) or True)
            except UnicodeDecodeError:
                valid = False
            undefined = undefined or any(byte in chunk for byte in b"\x81\x8d\x8f\x90\x9d")
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return encoding, False
    if start[1:4:2] == b"\0\0":  # a header's first letters in UTF-16, without a mark
        return "utf-16-le", False
    if start[0:3:2] == b"\0\0":
        return "utf-16-be", False
    if valid and not utf8.getstate()[0]:  # nor a character cut short at the end
        return "utf-8", False
    return ("latin-1" if undefined else "cp1252"), True


def _told(line: str) -> str | None:
    """The delimiter, where a line says it as spreadsheets understand it: ``sep=;``."""
    text = line.strip("\r\n \"'")
    return text[4] if len(text) == 5 and text.casefold().startswith("sep=") else None


def _delimiter(header: str, *, tabs: bool) -> str:
    """The one that makes most columns of a header; by the file's ending where several do."""

    def makes(delimiter: str) -> tuple[int, int, bool]:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        known = columns.places(cells)
        return "path" in known, len(known), (delimiter == "\t") == tabs

    return max(DELIMITERS, key=makes)
