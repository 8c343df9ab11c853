"""Read what lies at a path as person crops: published data sets, folders, a pattern, a CSV.

A reader is one file for one layout: an object with a ``name``, ``recognises(root)`` and
``read(root, wanted)``, see ``base.Reader``. An installed package brings one by an entry point, here
in its pyproject.toml::

    [project.entry-points."reidsearch.datasets"]
    prid = "my_package.prid:PRID"

The layout ``prid`` is then read by it, and so is a folder that no reader of this package recognises
and that one does.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from reidsearch.datasets import plugins
from reidsearch.datasets.base import DEFAULT_SPLITS, Reader, Wanted, listed
from reidsearch.datasets.columns import COLUMNS
from reidsearch.datasets.cuhk03 import Cuhk03
from reidsearch.datasets.dukemtmc import DUKEMTMC
from reidsearch.datasets.filename import parse_name
from reidsearch.datasets.folder import CAMERAS, PEOPLE
from reidsearch.datasets.folder import PLAIN as ANY_FOLDER
from reidsearch.datasets.manifest import LAYOUT as TABLE
from reidsearch.datasets.manifest import read_manifest
from reidsearch.datasets.market1501 import MARKET1501
from reidsearch.datasets.mars import MARS
from reidsearch.datasets.msmt17 import Msmt17
from reidsearch.datasets.pattern import LAYOUT as PATTERN
from reidsearch.datasets.pattern import read_pattern
from reidsearch.datasets.veri import VERI
from reidsearch.datasets.walk import sample, subfolders
from reidsearch.errors import DatasetError, UsageError
from reidsearch.times import Zone
from reidsearch.types import Dataset, Split

__all__ = [
    "COLUMNS",
    "DEFAULT_SPLITS",
    "PLAIN",
    "TABLE",
    "Reader",
    "Wanted",
    "is_plain",
    "layouts",
    "parse_name",
    "parted",
    "read",
    "recognised",
]

MANIFESTS = frozenset({".csv", ".tsv"})
ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"})
SEARCH_DEPTH = 3  # how far below the given folder the root of a published data set is looked for
# The first that recognises a folder reads it. DukeMTMC's names are also Market-1501's.
MSMT17 = Msmt17()
BENCHMARKS: tuple[Reader, ...] = (DUKEMTMC, MARKET1501, MSMT17, MARS, VERI, Cuhk03())
GUESSES: tuple[Reader, ...] = (PEOPLE, CAMERAS)
PLAIN = ANY_FOLDER.name
GUESSED = {
    "people": "person",
    "cameras": "camera",
}


def layouts() -> list[str]:
    """The names of all layouts, those of installed packages at the end."""
    own = [reader.name for reader in (*BENCHMARKS, *GUESSES, ANY_FOLDER)]
    return own + [name for name in plugins.names() if name not in own]


def parted(layout: str) -> tuple[str | None, str | None]:
    """What ``read`` has to be given so that it reads by that layout of a data set: the layout, or
    the pattern."""
    kind, _, pattern = layout.partition(" ")
    return (None, pattern) if kind == PATTERN else (layout, None)


def recognised(folder: Path) -> str:
    """The layout that a folder itself is read by, where none is given."""
    for reader in (*BENCHMARKS, *plugins.readers([]), *GUESSES):
        if reader.recognises(folder):
            return reader.name
    return PLAIN


def is_plain(layout: str | None) -> bool:
    """Whether that is a layout of crops whose folders and names alone say what they show: neither
    that of a published data set nor a table. None is not known, and so it is not."""
    own = {reader.name for reader in (*GUESSES, ANY_FOLDER)}
    return layout is not None and (layout in own or layout.startswith(PATTERN))


def read(
    path: Path,
    *,
    splits: Iterable[Split] = DEFAULT_SPLITS,
    name: str | None = None,
    layout: str | None = None,
    pattern: str | None = None,
    root: Path | None = None,
    follow_links: bool = False,
    zone: Zone = None,
) -> Dataset:
    """The crops at ``path``: a published data set or a folder above it, a folder of crops, a CSV.

    ``splits`` picks the parts of what has parts; all crops of a plain folder belong to the gallery.
    ``name`` is the data set's, by default its folder's (a CSV's: its file's stem). ``layout`` is
    one of ``layouts()``; without it, a folder is what it clearly is, else a plain one. ``pattern``
    says how paths are made, ``{camera}/{identity}_{frame}.jpg``. ``root`` is the folder that a
    CSV's paths start from, by default its own, and ``zone`` that of its times without an offset.
    Links to folders are followed with ``follow_links`` alone. Sightings come in path order.

    Raises DatasetError where there is nothing of that kind, UsageError on options that cannot be.
    """
    if layout is not None and pattern is not None:
        raise UsageError("a layout and a pattern were given", hint="Give {layout} or {pattern}.")
    if not os.path.exists(path):  # Path.exists raises where the name is too long
        raise DatasetError(f"{path} does not exist", hint="Check the path for a typo.")
    wanted = Wanted(splits=frozenset(splits), name=name, follow_links=follow_links, zone=zone)
    if path.is_file():
        _require_manifest(path)
        if layout is not None or pattern is not None:
            raise UsageError(
                f"{path} is a table, and says itself what its crops are",
                hint="Leave out {layout} and {pattern}.",
            )
        return read_manifest(path, splits=splits, name=name, root=root, zone=zone)
    if root is not None:
        raise UsageError(
            f"a root is for the paths in a table, and {path} is a folder", hint="Leave out {root}."
        )
    if pattern is not None:
        return read_pattern(path, pattern, wanted)
    if layout is not None:
        return _by_name(layout).read(path, wanted)
    return _recognised(path, wanted)


def _require_manifest(path: Path) -> None:
    ending = path.suffix.lower()
    if ending in MANIFESTS:
        return
    if ending in ARCHIVES:
        raise DatasetError(
            f"{path} is an archive", hint="Unpack it, and give the folder that comes out."
        )
    raise DatasetError(
        f"{path} is a file, but neither .csv nor .tsv",
        hint="Give a folder of crops or a CSV manifest; one picture is searched "
        "for with: {query_path}",
        path=str(path),
    )


def _by_name(layout: str) -> Reader:
    for reader in (*BENCHMARKS, *GUESSES, ANY_FOLDER):
        if reader.name == layout:
            return reader
    found = plugins.reader(layout)
    if found is None:
        raise UsageError(f"there is no layout {layout!r}", hint=f"Take {', '.join(layouts())}.")
    return found


def _recognised(path: Path, wanted: Wanted) -> Dataset:
    notes: list[str] = []
    found = _find_benchmark(path, notes)
    if found is not None:
        reader, root = found
        dataset = reader.read(root, wanted)
        return replace(dataset, notes=(*notes, *dataset.notes))
    for reader in plugins.readers(notes):
        if reader.recognises(path):
            dataset = reader.read(path, wanted)
            break
    else:
        guess = next((reader for reader in GUESSES if reader.recognises(path)), ANY_FOLDER)
        dataset = guess.read(path, wanted)
        if guess is not ANY_FOLDER:
            notes.append(
                f"That each folder is a {GUESSED[guess.name]} (layout {guess.name}) is a guess, "
                "from what the folders are called; the layout folder takes them for nothing."
            )
        elif MSMT17.lacks_lists(path):
            notes.append(
                "Its folders and names are MSMT17's, but its lists, list_query.txt and so on, are "
                "not there: all was read as gallery."
            )
    return replace(dataset, notes=(*notes, *dataset.notes))


def _find_benchmark(path: Path, notes: list[str]) -> tuple[Reader, Path] | None:
    """The one root of a published data set at or below ``path``, and its reader; ``notes`` say
    which folders with pictures are passed over beside it.

    Raises DatasetError where there are several.
    """
    level, listing = [path], {path: subfolders(path)}
    for depth in range(SEARCH_DEPTH):
        found = [
            (reader, folder)
            for folder in level
            if not depth or listing[folder]  # there may be many folders that only have pictures
            for reader in BENCHMARKS
            if reader.recognises(folder)
        ]
        roots = list(dict.fromkeys(root for _, root in found))
        if len(roots) > 1:
            raise DatasetError(
                f"{path} holds several data sets: {listed(map(str, roots))}",
                hint="Name one of them.",
            )
        if found:
            beside = [folder for folder in level if folder != roots[0] and sample(folder, count=1)]
            if beside:
                notes.append(
                    f"Only {roots[0]} was read; passed over beside it: {listed(map(str, beside))}."
                )
            return found[0]
        level = [
            folder / name
            for folder in level
            for name in listing[folder]
            if not (folder / name).is_symlink()
        ]
        listing = {folder: subfolders(folder) for folder in level}
    return None
