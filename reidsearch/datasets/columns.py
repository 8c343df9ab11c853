"""What the columns of a manifest are called, and what their cells say."""

import re
from collections.abc import Mapping, Sequence

from reidsearch.types import Split

SHOWN = 60  # characters of somebody's text that a message repeats

# Each column by the spellings that mean it and nothing else. Not `id`, `label` and `track`: the
# first numbers rows as often as people, the last counts anew at every camera.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "path": (
        "path", "file", "filename", "file_name", "filepath", "file_path", "image", "img",
        "image_path", "img_path", "imagepath", "imgpath", "image_file", "image_name", "img_name",
    ),
    "camera": ("camera", "cam", "camera_id", "cam_id", "cameraid", "camid", "camera_name"),
    "identity": ("identity", "person", "person_id", "personid", "pid", "identity_id"),
    "sequence": ("sequence", "seq", "sequence_id", "seq_id", "seqid"),
    "frame": ("frame", "frame_id", "frameid", "frame_number", "frame_no"),
    "timestamp": ("timestamp", "time", "datetime", "date_time", "date"),
    "split": ("split", "subset", "set"),
}  # fmt: skip
COLUMNS = tuple(SPELLINGS)
_MEANS = {spelling: column for column, known in SPELLINGS.items() for spelling in known}
_INDEX = re.compile(r"|unnamed:? ?\d+|index|#", re.IGNORECASE)  # how row numbers are called

SPLITS: Mapping[str, Split] = {
    **{str(split): split for split in Split},
    "training": Split.TRAIN,
    "probe": Split.QUERY,
    "queries": Split.QUERY,
    "multi_query": Split.MULTI_QUERY,
    "test": Split.GALLERY,
}
# As pandas and spreadsheets write what they do not know. Case counts: Na and Nan are names.
UNKNOWN = frozenset(
    ["", "NaN", "nan", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaT", "None", "none", "NULL", "null"]
)
# As a column of numbers with gaps is written; three zeros may be thousands.
_WHOLE = re.compile(r"(-?\d{1,30})[.,](?:0{1,2}|0{4,})", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,30}", re.ASCII)


def meaning(header: str) -> str | None:
    """The column of COLUMNS that a header means, in any case, or None."""
    return _MEANS.get(re.sub(r"[\s-]+", "_", header.strip().casefold()))


def is_index(header: str) -> bool:
    """Whether it is called as programs call the numbers of rows, which nobody misses."""
    return _INDEX.fullmatch(header.strip()) is not None


def places(header: Sequence[str]) -> dict[str, list[int]]:
    """Where each column stands, by what its header means."""
    found: dict[str, list[int]] = {}
    for place, text in enumerate(header):
        column = meaning(text)
        if column is not None:
            found.setdefault(column, []).append(place)
    return found


def name(cell: str) -> str | None:
    """What a cell calls a camera or a person; None where that is not known."""
    text = cell.strip()
    if text in UNKNOWN:
        return None
    whole = _WHOLE.fullmatch(text) if "." in text or "," in text else None
    return whole[1] if whole else text


def numbers(cells: Sequence[str], column: str) -> list[int | None]:
    """What ``number`` says of each cell."""
    digits = "".join(cells)
    if digits.isdecimal() and digits.isascii() and all(cells) and max(map(len, cells)) < 19:
        return list(map(int, cells))
    return [number(cell, column) for cell in cells]


def number(cell: str, column: str) -> int | None:
    """A cell's whole number; None where it is not known. Raises ValueError on another text."""
    text = name(cell)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{column} {shown(text)} is not a whole number")
    return int(text)


def split(cell: str) -> Split:
    """A cell's split, the gallery where none is named. Raises ValueError on another text."""
    text = name(cell)
    if text is None:
        return Split.GALLERY
    known = SPLITS.get(text.casefold())
    if known is None:
        raise ValueError(f"split {shown(text)} is none of {', '.join(Split)}")
    return known


def shown(text: str) -> str:
    """Somebody's text in a message: quoted, its control characters escaped, and not too long."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
