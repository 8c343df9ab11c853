"""Read what lies at a path as person crops: the Market-1501 layout, a plain folder, a CSV."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from reidsearch.errors import DatasetError, ReidsearchError
from reidsearch.images import SUFFIXES
from reidsearch.types import Dataset, Rejected, Sighting, Split

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
# ".jpg.jpg".
NAME = re.compile(
    r"(?P<identity>-1|\d+)_c(?P<camera>\d+)(?:s(?P<sequence>\d+))?(?:_f?(?P<frame>\d+))?(?!\d)"
)
COLUMNS = ("path", "split", "camera", "identity", "sequence", "frame", "timestamp")


def read(
    path: Path, *, splits: Iterable[Split] = DEFAULT_SPLITS, name: str | None = None
) -> Dataset:
    """The crops at ``path``: a Market-1501 root or a folder above it, a folder of crops, a CSV.

    ``splits`` picks parts of a Market-1501 root or of a CSV with a split column; all crops of a
    plain folder belong to the gallery. ``name`` is the data set's, by default its folder's (a
    CSV's: its file's stem). Sightings come in path order.

    Raises DatasetError where there is nothing of that kind.
    """
    if not path.exists():
        raise DatasetError(f"{path} does not exist", hint="Check the path for a typo.")
    if path.is_file():
        if path.suffix.lower() not in {".csv", ".tsv"}:
            raise DatasetError(
                f"{path} is a file, but neither .csv nor .tsv",
                hint="Give a folder of crops or a CSV manifest; one picture is searched "
                f"for with: reidsearch query {path}",
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
        raise DatasetError(f"{root} has no {wanted}", hint=f"It has {here}; choose with --split.")
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

    Paths are relative to the CSV's folder. Timestamps are seconds since 1970 or ISO 8601 (UTC
    where no offset is given). A row that cannot be understood is rejected with its line number.

    Raises DatasetError on a file that is no such table.
    """
    chosen = set(splits)
    sightings: dict[str, Sighting] = {}
    rejected: list[Rejected] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            header = [column.strip() for column in rows.fieldnames or []]
            rows.fieldnames = header
            if "path" not in header:
                raise DatasetError(
                    f"{path} has no column 'path'",
                    hint=f"Its first line must name its columns, of: {', '.join(COLUMNS)}.",
                )
            for row in rows:
                try:
                    sighting = _from_row(row)
                    if sighting.path in sightings:
                        raise ValueError("the path stands in the manifest twice")
                except (ValueError, ReidsearchError) as error:
                    where = (row.get("path") or "").strip() or f"line {rows.line_num}"
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
    if not cells["path"]:
        raise ValueError("the path is empty")

    def integer(column: str) -> int | None:
        try:
            return int(cells[column]) if cells[column] else None
        except ValueError:
            raise ValueError(f"{column} {cells[column]!r} is not a whole number") from None

    if cells["split"] and cells["split"] not in list(Split):
        raise ValueError(f"split {cells['split']!r} is none of {', '.join(Split)}")
    return Sighting(
        path=cells["path"],
        split=Split(cells["split"] or Split.GALLERY),
        camera=integer("camera"),
        identity=integer("identity"),
        sequence=integer("sequence"),
        frame=integer("frame"),
        timestamp=parse_timestamp(cells["timestamp"]),
    )


def parse_timestamp(text: str) -> float | None:
    """Seconds since 1970 or ISO 8601 (UTC where no offset is given) in seconds; None if empty.

    Raises ValueError on anything else.
    """
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"timestamp {text!r} is neither seconds nor ISO 8601") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_market_root(folder: Path) -> bool:
    # os.path says no where Path.is_dir raises: in a folder that may not be entered.
    return any(os.path.isdir(folder / name) for name in MARKET_FOLDERS)


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink())
    except OSError:
        return []


def _pictures(root: Path, folder: Path, rejected: list[Rejected], split: Split) -> Iterator[str]:
    """Relative paths of the pictures below ``folder``; what cannot be listed is rejected."""

    def unlistable(error: OSError) -> None:
        where = Path(os.fsdecode(error.filename)).relative_to(root).as_posix()
        rejected.append(Rejected(where, f"cannot be listed: {error.strerror}", split))

    for parent, _, names in os.walk(folder, onerror=unlistable):
        relative = Path(parent).relative_to(root)
        for name in names:
            path = (relative / name).as_posix()
            if Path(name).suffix.lower() not in SUFFIXES:
                continue
            try:
                path.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(path).decode(errors="backslashreplace")
                rejected.append(Rejected(shown, "its name is not valid UTF-8", split))
                continue
            yield path


def _folder_name(root: Path) -> str:
    return root.resolve().name or "root"


def _dataset(
    name: str,
    root: Path,
    sightings: Iterable[Sighting],
    rejected: list[Rejected],
    splits: Iterable[Split],
) -> Dataset:
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
