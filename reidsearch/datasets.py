"""Read what lies at a path as person crops: the Market-1501 layout, a plain folder, a CSV."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TextIO

from reidsearch.errors import DatasetError, ReidsearchError
from reidsearch.images import SUFFIXES
from reidsearch.types import YEAR_1, YEAR_10000, Dataset, Rejected, Sighting, Split

MARKET_FOLDERS = {
    "bounding_box_train": Split.TRAIN,
    "query": Split.QUERY,
    "bounding_box_test": Split.GALLERY,
    "gt_bbox": Split.MULTI_QUERY,
}
DEFAULT_SPLITS = (Split.QUERY, Split.GALLERY)
SEARCH_DEPTH = 3  # how far below the given folder a Market-1501 root is looked for

# 0002_c1s1_000451_03.jpg: identity, camera, sequence, frame, detection. DukeMTMC's
# 0005_c2_f0046985.jpg has no sequence. What follows is free: 24 names of Market-1501 end in
# ".jpg.jpg". Numbers of more than 18 digits, which the catalog could not hold, are none.
NAME = re.compile(
    r"(?P<identity>-1|\d{1,18})_c(?P<camera>\d{1,18})"
    r"(?:s(?P<sequence>\d{1,18})(?!\d))?(?:_f?(?P<frame>\d{1,18})(?!\d))?(?!\d)"
)
COLUMNS = ("path", "split", "camera", "identity", "sequence", "frame", "timestamp")
MAX_LINE = 1_000_000  # characters of a line in a CSV
MAX_PATH = 4096  # characters; no system opens a longer one
SHOWN = 60  # characters of a wrong value that a reason repeats


def read(
    path: Path, *, splits: Iterable[Split] = DEFAULT_SPLITS, name: str | None = None
) -> Dataset:
    """The crops at ``path``: a Market-1501 root or a folder above it, a folder of crops, a CSV.

    ``splits`` picks parts of a Market-1501 root or of a CSV with a split column; all crops of a
    plain folder belong to the gallery. ``name`` is the data set's, by default its folder's (a
    CSV's: its file's stem). Sightings come in path order.

    Raises DatasetError where there is nothing of that kind.
    """
    if not os.path.exists(path):  # Path.exists raises where the name is too long
        raise DatasetError(f"{path} does not exist", hint="Check the path for a typo.")
    if path.is_file():
        if path.suffix.lower() not in {".csv", ".tsv"}:
            raise DatasetError(
                f"{path} is a file, but neither .csv nor .tsv",
                hint="Give a folder of crops or a CSV manifest; one picture is searched "
                "for with: {query_path}",
                path=str(path),
            )
        return read_manifest(path, splits=splits, name=name)
    root = find_market_root(path)
    if root is not None:
        return read_market(root, splits=splits, name=name)
    return read_folder(path, name=name)


def parse_name(path: str, split: Split = Split.GALLERY) -> Sighting:
    """The sighting at ``path``: its file's name may tell camera, identity, sequence and frame."""
    found = NAME.match(PurePosixPath(path).name)
    if found is None:
        return Sighting(path, split)

    def number(key: str) -> int | None:
        return int(found[key]) if found[key] else None

    return Sighting(
        path, split, number("camera"), number("identity"), number("sequence"), number("frame")
    )


def find_market_root(path: Path) -> Path | None:
    """The one Market-1501 root at or below ``path``, or None.

    Raises DatasetError where there are several.
    """
    level = [path]
    for _ in range(SEARCH_DEPTH):
        roots = [folder for folder in level if _is_market_root(folder)]
        if len(roots) > 1:
            raise DatasetError(
                f"{path} holds several Market-1501 data sets: {', '.join(map(str, roots))}",
                hint="Name one of them.",
            )
        if roots:
            return roots[0]
        level = [child for folder in level for child in _subfolders(folder)]
    return None


def read_market(
    root: Path, *, splits: Iterable[Split] = DEFAULT_SPLITS, name: str | None = None
) -> Dataset:
    """The chosen splits of the Market-1501 layout at ``root``.

    A picture whose name does not follow the pattern is rejected: it would have no place in the
    protocol. Raises DatasetError where none of the chosen splits is there.
    """
    chosen = set(splits)
    folders = [f for f, split in MARKET_FOLDERS.items() if split in chosen and (root / f).is_dir()]
    if not folders:
        wanted = ", ".join(f for f, split in MARKET_FOLDERS.items() if split in chosen)
        here = ", ".join(sorted(p.name for p in _subfolders(root) if p.name in MARKET_FOLDERS))
        raise DatasetError(
            f"{root} has no {wanted}", hint="It has {here}; choose with {split}.", here=here
        )
    sightings: list[Sighting] = []
    rejected: list[Rejected] = []
    for folder in folders:
        split = MARKET_FOLDERS[folder]
        for path in _pictures(root, root / folder, rejected, split):
            seen = parse_name(path, split)
            if seen.camera is None:
                reason = "its name does not follow 0002_c1s1_000451_03.jpg"
                rejected.append(Rejected(path, reason, split))
                continue
            sightings.append(seen)
    return _dataset(name or _folder_name(root), root, sightings, rejected, chosen)


def read_folder(root: Path, *, name: str | None = None) -> Dataset:
    """Every picture at or below ``root`` as gallery; names that tell camera and so on are used.

    Raises DatasetError where there is no picture.
    """
    rejected: list[Rejected] = []
    sightings = [parse_name(p) for p in _pictures(root, root, rejected, Split.GALLERY)]
    return _dataset(name or _folder_name(root), root, sightings, rejected, Split)


def read_manifest(
    path: Path, *, splits: Iterable[Split] = DEFAULT_SPLITS, name: str | None = None
) -> Dataset:
    """A CSV (or tab-separated .tsv) whose header names some of COLUMNS; only ``path`` must be.

    Paths are relative to the CSV's folder and stay inside it. Timestamps are seconds since 1970 or
    ISO 8601 (UTC where no offset is given). A row that cannot be understood is rejected with its
    line number.

    Raises DatasetError on a file that is no such table.
    """
    chosen = set(splits)
    sightings: dict[str, Sighting] = {}
    rejected: list[Rejected] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            tabs = path.suffix.lower() == ".tsv"
            rows = csv.DictReader(_lines(file), delimiter="\t" if tabs else ",")
            header = [column.strip() for column in rows.fieldnames or []]
            rows.fieldnames = header
            if "path" not in header:
                raise DatasetError(
                    f"{path} has no column 'path'",
                    hint=f"Its first line must name its columns, of: {', '.join(COLUMNS)}.",
                )
            twice = [c for c, n in Counter(header).items() if n > 1 and c in COLUMNS]
            if twice:
                raise DatasetError(
                    f"{path} has more than one column {twice[0]!r}", hint="Keep one of them."
                )
            for row in rows:
                try:
                    sighting = _from_row(row)
                    if sighting.path in sightings:
                        raise ValueError("the path stands in the manifest twice")
                except (ValueError, ReidsearchError) as error:
                    where = _cut((row.get("path") or "").strip(), MAX_PATH)
                    where = where or f"line {rows.line_num}"
                    rejected.append(Rejected(where, f"line {rows.line_num}: {error}"))
                    continue
                if sighting.split in chosen:
                    sightings[sighting.path] = sighting
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{path} is not a readable CSV: {error}", hint="Save it as UTF-8, comma-separated."
        ) from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from None
    return _dataset(name or path.stem, path.resolve().parent, sightings.values(), rejected, chosen)


def _from_row(row: dict[str, str]) -> Sighting:
    cells = {key: (row.get(key) or "").strip() for key in COLUMNS}
    _check_path(cells["path"])

    def integer(column: str) -> int | None:
        try:
            return int(cells[column]) if cells[column] else None
        except ValueError:
            raise ValueError(f"{column} {_shown(cells[column])} is not a whole number") from None

    if cells["split"] and cells["split"] not in list(Split):
        raise ValueError(f"split {_shown(cells['split'])} is none of {', '.join(Split)}")
    return Sighting(
        path=cells["path"],
        split=Split(cells["split"] or Split.GALLERY),
        camera=integer("camera"),
        identity=integer("identity"),
        sequence=integer("sequence"),
        frame=integer("frame"),
        timestamp=parse_timestamp(cells["timestamp"]),
    )


def _check_path(path: str) -> None:
    """Raise ValueError where it cannot be the path of a file below the manifest's folder."""
    if not path:
        raise ValueError("the path is empty")
    if len(path) > MAX_PATH:
        raise ValueError(f"the path has {len(path)} characters")
    if any(c < " " or c == "\x7f" for c in path):
        raise ValueError("the path holds control characters")
    windows = PureWindowsPath(path)  # understands both systems' absolute paths
    if windows.anchor:
        raise ValueError("the path is absolute; paths are relative to the manifest's folder")
    depth = 0
    for part in windows.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            raise ValueError("the path leads out of the manifest's folder")


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise csv.Error(f"a line has more than {MAX_LINE} characters")
        yield line


def _shown(text: str) -> str:
    return repr(_cut(text, SHOWN))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"


def parse_timestamp(text: str) -> float | None:
    """Seconds since 1970 or ISO 8601 (UTC where no offset is given) in seconds; None if empty.

    Raises ValueError on anything else, and outside the years 1 to 9999.
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            wrong = f"timestamp {_shown(text)} is neither seconds nor ISO 8601"
            raise ValueError(wrong) from None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not YEAR_1 <= seconds < YEAR_10000:  # nor NaN
        raise ValueError(f"timestamp {_shown(text)} is not in seconds of the years 1 to 9999")
    return seconds


def _is_market_root(folder: Path) -> bool:
    return any(os.path.isdir(folder / name) for name in MARKET_FOLDERS)  # Path.is_dir may raise


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink())
    except OSError:
        return []


def _pictures(root: Path, folder: Path, rejected: list[Rejected], split: Split) -> Iterator[str]:
    """Relative paths of the pictures below ``folder``; what cannot be listed is rejected."""
    waiting = [str(folder)]  # os.walk recurses on Python 3.11, too deep for folders made to hurt
    while waiting:
        parent = waiting.pop()
        relative = Path(parent).relative_to(root)
        try:
            files = list(_files(parent, waiting))
        except OSError as error:
            where = _escaped(relative.as_posix())
            rejected.append(Rejected(where, f"cannot be listed: {error.strerror}", split))
            continue
        for name in files:
            path = (relative / name).as_posix()
            if Path(name).suffix.lower() not in SUFFIXES:
                continue
            if _escaped(path) != path:
                rejected.append(Rejected(_escaped(path), "its name is not valid UTF-8", split))
                continue
            yield path


def _files(folder: str, subfolders: list[str]) -> Iterator[str]:
    """The names of the files in ``folder``; its folders go to ``subfolders``, links to such are
    passed over."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                subfolders.append(entry.path)
            elif not os.path.isdir(entry.path):
                yield entry.name


def _escaped(path: str) -> str:
    """The path with escapes for what is not valid UTF-8, which no store takes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _folder_name(root: Path) -> str:
    return root.resolve().name or "root"


def _dataset(
    name: str,
    root: Path,
    sightings: Iterable[Sighting],
    rejected: list[Rejected],
    splits: Iterable[Split],
) -> Dataset:
    for text in (name, str(root.resolve())):
        if _escaped(text) != text:
            raise DatasetError(
                f"{_escaped(text)} is not valid UTF-8", hint="Rename it, or give another {name}."
            )
    ordered = sorted(sightings, key=lambda s: s.path)
    if not ordered and not rejected:
        raise DatasetError(
            f"{root} holds no picture to take in",
            hint=f"Pictures end in {', '.join(sorted(SUFFIXES))}.",
        )
    return Dataset(
        name,
        root.resolve(),
        ordered,
        sorted(rejected, key=lambda r: r.path),
        frozenset(splits),
    )
