"""A table that says of each crop what is known."""

import gc
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from operator import attrgetter, is_
from pathlib import Path

from reidsearch import times
from reidsearch.datasets import columns
from reidsearch.datasets.base import DEFAULT_SPLITS, dataset, of_naive
from reidsearch.datasets.columns import COLUMNS, shown
from reidsearch.datasets.table import Table, opened
from reidsearch.errors import DatasetError, ReidsearchError
from reidsearch.times import Zone
from reidsearch.types import Dataset, Rejected, Sighting, Split, sightings
from reidsearch.words import counted

LAYOUT = "manifest"
MAX_PATH = 4096  # characters; no system opens a longer one
LOOKED_FOR = 20  # pictures, before paths are thought to start elsewhere
LISTED = 10  # columns in a note
BLOCK = 256  # rows that are looked at together

_PATH, _SPLIT = attrgetter("path"), attrgetter("split")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BREAK = re.compile(r"\r\n|\r|\n")
_DRIVE = re.compile(r"[A-Za-z]:")
# Most paths: printable ASCII, no part that begins with a dot, no space around it.
_PLAIN = re.compile(
    r"(?![A-Za-z]:)[!-\-0-\[\]-~][ -.0-\[\]-~]*(?:/[ -\-0-\[\]-~][ -.0-\[\]-~]*)*(?<! )", re.ASCII
)


def read_manifest(
    path: Path,
    *,
    splits: Iterable[Split] = DEFAULT_SPLITS,
    name: str | None = None,
    root: Path | None = None,
    zone: Zone = None,
) -> Dataset:
    """A table whose header names some of COLUMNS, in one of the usual spellings; only ``path``
    must be.

    Paths start from ``root``, by default the table's folder, and stay below it; absolute ones are
    taken where they lead there. Times are as in ``times``, and in ``zone`` where they have no
    offset. A row that cannot be understood is rejected with its line's number, and so is a picture
    that rows describe differently. What was guessed or left aside stands in the notes.

    Raises DatasetError on a file that is no such table.
    """
    chosen = frozenset(splits)
    base = (path.parent if root is None else root).absolute()
    if not base.is_dir():
        raise DatasetError(
            f"{base} is no folder",
            hint="Give the folder that the manifest's paths start from with {root}.",
        )
    with opened(path) as table, _uncollected():
        rows = _Rows(_places(table, path), len(table.header), base, zone)
        sightings, rejected, again = _read(table, rows, chosen)
    notes = [*_of_table(table), *rows.notes()]
    if again:
        notes.append(
            f"{counted(again, 'row repeats', 'rows repeat')} what a row above says of the same "
            "picture."
        )
    if sightings and not any(os.path.lexists(base / s.path) for s in sightings[:LOOKED_FOR]):
        notes.append(
            f"None of the pictures is there, {shown(sightings[0].path)} for one: paths are taken "
            f"to start from {base}. If they start elsewhere, give that folder as root."
        )
    found = dataset(
        name or path.stem, base.resolve(), sightings, rejected, chosen, layout=LAYOUT, notes=notes
    )
    return found if name else replace(found, spare_name=path.name)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for cycles: among millions of new objects that are all kept it finds
    none, and takes a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _places(table: Table, path: Path) -> dict[str, int]:
    """Where each known column stands. Raises DatasetError where there is none for paths, or more
    than one for anything."""
    places = columns.places(table.header)
    for column, found in places.items():
        if len(found) > 1:
            called = " and ".join(shown(table.header[place].strip()) for place in found)
            raise DatasetError(
                f"{path} has more than one column {column!r}: {called}",
                hint="Keep one of them, or give the others a name that is not understood. A date "
                "and a time of day go in one column.",
            )
    if "path" not in places:
        raise DatasetError(
            f"{path} has no column 'path'",
            hint="Its first line must name its columns, of: {columns}. It begins {beginning}.",
            columns=", ".join(COLUMNS),
            beginning=shown(" ".join(cell for cell in table.header if cell)),
        )
    return {column: found for column, (found,) in places.items()}


def _read(
    table: Table, rows: "_Rows", chosen: frozenset[Split]
) -> tuple[list[Sighting], list[Rejected], int]:
    """The sightings of the chosen splits, the rejected rows, and how many say the same again."""
    sightings: dict[str, Sighting] = {}
    rejected: list[Rejected] = []
    unclear: set[str] = set()
    again = 0
    line = table.lines_above + table.rows.line_num
    while block := list(islice(table.rows, BLOCK)):
        # Most rows are as they should be, and those many at once take half the time.
        found = rows.sightings(block)
        if found is not None and chosen.issuperset(map(_SPLIT, found)):
            kept = map(sightings.setdefault, map(_PATH, found), found)
            if all(map(is_, kept, found)):
                line = table.lines_above + table.rows.line_num
                continue
        for cells, seen in zip(block, found or map(rows.sighting, block), strict=True):
            line += _lines(cells)
            if isinstance(seen, Exception):
                rejected.append(rows.rejected(cells, line, seen))
                continue
            if seen is None or seen.split not in chosen:
                continue
            before = sightings.setdefault(seen.path, seen)
            if before is seen:
                continue
            if before == seen:
                again += 1
            elif seen.path not in unclear:
                unclear.add(seen.path)
                reason = f"line {line}: the picture stands in the manifest twice, differently"
                rejected.append(Rejected(seen.path, reason, seen.split))
    for path in unclear:
        del sightings[path]
    return list(sightings.values()), rejected, again


def _lines(cells: Sequence[str]) -> int:
    """How many lines a row takes."""
    return 1 + sum(len(_BREAK.findall(cell)) for cell in cells)


class _Elsewhere(ValueError):
    """An absolute path that does not lead below the base."""


class _Rows:
    """Turns rows into sightings, and counts what people should know of them."""

    def __init__(self, places: Mapping[str, int], width: int, base: Path, zone: Zone) -> None:
        self._places = places
        self._width = width
        # Cameras, people and splits come again and again; what is kept goes with the manifest.
        self._name = cache(columns.name)
        self._split = cache(columns.split)
        self._base = str(base)
        written = dict.fromkeys((self._base, str(base.resolve())))
        self._roots = tuple(root.replace("\\", "/").rstrip("/") for root in written)
        self._zone = zone
        self._moments = times.Moments(zone)
        self._naive = 0
        self._elsewhere = 0

    def sightings(self, rows: Sequence[list[str]]) -> list[Sighting] | None:
        """What these rows say; None where one of them needs to be looked at for itself."""
        try:
            found, naive = self._sightings(rows)
        except (ValueError, ReidsearchError):
            return None
        self._naive += naive
        return found

    def sighting(self, cells: list[str]) -> Sighting | Exception | None:
        """What a row says; None of an empty one, and of one that cannot be understood, why."""
        width = self._width
        if not any(cell.strip() for cell in cells):
            return None
        if any(cell.strip() for cell in cells[width:]):
            return ValueError(f"it has {len(cells)} cells, and the first line {width}")
        try:
            (seen,), naive = self._sightings([cells[:width] + [""] * (width - len(cells))])
        except (ValueError, ReidsearchError) as error:
            self._elsewhere += isinstance(error, _Elsewhere)
            return error
        self._naive += naive
        return seen

    def _sightings(self, rows: Sequence[list[str]]) -> tuple[list[Sighting], int]:
        """What these rows say, column by column, and how many times have no offset.

        Raises ValueError, UsageError where one of them has not as many cells as the header, or
        cannot be understood.
        """
        every = list(zip(*rows, strict=True))
        if len(every) != self._width:
            raise ValueError("the rows are not as wide as the header")

        def column(name: str) -> Sequence[str]:
            place = self._places.get(name)
            return () if place is None else every[place]

        paths = [
            path if _PLAIN.fullmatch(path) and len(path) <= MAX_PATH else self._canonical(path)
            for path in column("path")
        ]
        moments, naive = self._moments.of(column("timestamp"), unknown=columns.UNKNOWN)
        found = sightings(
            paths,
            splits=list(map(self._split, column("split"))),
            cameras=list(map(self._name, column("camera"))),
            identities=list(map(self._name, column("identity"))),
            sequences=columns.numbers(column("sequence"), "sequence"),
            frames=columns.numbers(column("frame"), "frame"),
            timestamps=moments,
        )
        return found, naive

    def rejected(self, cells: Sequence[str], line: int, error: Exception) -> Rejected:
        """A row that cannot be understood, by what it calls its picture, or else by its line."""
        place = self._places["path"]
        text = cells[place].strip() if place < len(cells) else ""
        if not text:
            return Rejected(f"line {line}", str(error), is_picture=False)
        reason = f"line {line}: {error}"
        try:
            return Rejected(self._canonical(text), reason)
        except ValueError:
            where = text if len(text) <= MAX_PATH else text[:MAX_PATH] + "…"
            return Rejected(where, reason, is_picture=False)

    def notes(self) -> list[str]:
        notes = []
        if self._naive:
            notes.append(of_naive(self._naive, self._zone))
        if self._elsewhere:
            notes.append(
                f"{counted(self._elsewhere, 'path is', 'paths are')} absolute and not below "
                f"{self._base}: give the folder that they lie in as root."
            )
        return notes

    def _canonical(self, path: str) -> str:
        """The one way to write a path below the base: with forward slashes, without detours, and in
        the Unicode form that the file's name has. Raises ValueError where it leads out."""
        path = path.strip()
        if not path:
            raise ValueError("the path is empty")
        if len(path) > MAX_PATH:
            raise ValueError(f"the path has {len(path)} characters")
        if _CONTROL.search(path):
            raise ValueError("the path holds control characters")
        path = path.replace("\\", "/")
        if path.startswith("/") or _DRIVE.match(path):
            path = self._below(path)
        path = posixpath.normpath(path)
        if path == ".." or path.startswith("../"):
            raise ValueError(f"the path leads out of {self._base}")
        if path == ".":
            raise ValueError("the path is that of a folder")
        if _DRIVE.match(path):
            raise ValueError("the path holds the name of a drive")
        return path if path.isascii() else self._on_disk(path)

    def _below(self, path: str) -> str:
        """An absolute path, from the base on."""
        whole = posixpath.normpath(path)
        if os.sep == "/":
            whole = re.sub("^//", "/", whole)
        for root in self._roots:
            if os.path.normcase(whole).startswith(os.path.normcase(root + "/")):
                return whole[len(root) + 1 :]
        raise _Elsewhere(f"the path is absolute and does not lie below {self._base}")

    def _on_disk(self, path: str) -> str:
        """The path in the form that is there: names are composed in one file system, and taken
        apart in another."""
        forms = dict.fromkeys((path, *(unicodedata.normalize(f, path) for f in ("NFC", "NFD"))))
        there = (form for form in forms if os.path.lexists(os.path.join(self._base, form)))
        return next(there, path)


def _of_table(table: Table) -> list[str]:
    notes = []
    if table.guessed:
        kind = "Windows-1252" if table.encoding == "cp1252" else "Latin-1"
        notes.append(f"The manifest is not UTF-8 and was read as {kind}: look at its accents.")
    spare = [
        shown(header.strip())
        for header in table.header
        if columns.meaning(header) is None and not columns.is_index(header)
    ]
    if spare:
        more = f" and {len(spare) - LISTED} more" if len(spare) > LISTED else ""
        notes.append(
            f"Columns that were not used: {', '.join(spare[:LISTED])}{more}. "
            f"Understood are {', '.join(COLUMNS)}."
        )
    return notes
