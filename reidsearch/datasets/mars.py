"""MARS: bbox_train and bbox_test with a folder a person; names 0001C1T0001F001.jpg.

Its queries are tracklets of bbox_test, listed in a folder info beside it: query_IDX.mat has their
numbers, each a row of tracks_test_info.mat, which begins with the first and last of the tracklet's
lines in test_name.txt. All of them count from 1.
"""

from dataclasses import replace
from pathlib import Path

from reidsearch.datasets import matlab
from reidsearch.datasets.base import Wanted
from reidsearch.datasets.benchmark import Benchmark
from reidsearch.datasets.filename import parse_mars
from reidsearch.errors import DatasetError
from reidsearch.types import Dataset, Sighting, Split

FOLDERS = {"bbox_train": Split.TRAIN, "bbox_test": Split.GALLERY}
INFO = ("info/test_name.txt", "info/tracks_test_info.mat", "info/query_IDX.mat")
MAX_BYTES = 200_000_000  # of the list of names, which has 13 MB
_PICTURES = Benchmark(
    name="mars",
    title="MARS",
    folders=FOLDERS,
    marks=frozenset(FOLDERS),
    parse=parse_mars,
    example="0001C1T0001F001.jpg",
)


class Mars:
    """Reader of the two folders, and of the lists beside them where they are."""

    name = _PICTURES.name

    def recognises(self, root: Path) -> bool:
        """Whether its folders are there, and have pictures that are called as its are."""
        return _PICTURES.recognises(root)

    def read(self, root: Path, wanted: Wanted) -> Dataset:
        """The parts that are wanted. Without the lists, all of bbox_test is gallery.

        Raises DatasetError where none of these parts is there, and on lists that make no sense.
        """
        if Split.QUERY not in wanted.splits and Split.GALLERY not in wanted.splits:
            return _PICTURES.read(root, wanted)
        folders = replace(wanted, splits=wanted.splits - {Split.QUERY} | {Split.GALLERY})
        found = _PICTURES.read(root, folders)
        missing = [file for file in INFO if not (root / file).is_file()]
        if missing:
            what = f"MARS's queries are listed in {missing[0]}, which is not there"
            if Split.GALLERY not in wanted.splits:
                raise DatasetError(what, hint=f"Put {', '.join(INFO)} beside its folders.")
            return replace(
                found, notes=(*found.notes, f"{what}: all of bbox_test was read as gallery.")
            )
        queries = _queries(*(root / file for file in INFO))

        def parted(seen: Sighting) -> Sighting:
            query = seen.split is Split.GALLERY and seen.path.rpartition("/")[2] in queries
            return replace(seen, split=Split.QUERY) if query else seen

        return replace(
            found,
            sightings=[s for s in map(parted, found.sightings) if s.split in wanted.splits],
            splits=wanted.splits,
            notes=(
                *found.notes,
                "MARS's published numbers compare tracklets; here each picture is for itself.",
            ),
        )


MARS = Mars()


def _queries(names: Path, tracks: Path, queries: Path) -> frozenset[str]:
    """The names of the pictures of all tracklets that are queries."""
    try:
        if names.stat().st_size > MAX_BYTES:
            raise DatasetError(f"{names} is too large for a list of pictures")
        listed = names.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{names} cannot be read: {error}") from None
    spans = matlab.numbers(tracks, "track_test_info")
    rows = matlab.numbers(queries, "query_IDX").ravel()
    if spans.shape[1] < 2 or len(rows) == 0 or not 1 <= rows.min() <= rows.max() <= len(spans):
        raise DatasetError(
            f"{queries} numbers tracklets that {tracks} does not have", hint="Get both anew."
        )
    chosen = spans[rows - 1, :2]
    if not (chosen[:, 0].min() >= 1 and chosen[:, 1].max() <= len(listed)):
        raise DatasetError(
            f"{tracks} numbers pictures that {names} does not have", hint="Get both anew."
        )
    return frozenset(name for first, last in chosen for name in listed[first - 1 : last])
