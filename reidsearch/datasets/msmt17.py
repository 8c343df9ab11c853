"""MSMT17: train and test with a folder a person, and lists of what each part has.

A line of list_query.txt is ``0000/0000_001_01_0303morning_0015_0_ex.jpg 0``: a path below test, and
the person's number. list_train.txt and list_val.txt are of train, together its 1,041 people;
list_gallery.txt is of test.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from reidsearch.datasets.base import Wanted, dataset, folder_name
from reidsearch.datasets.benchmark import MOST
from reidsearch.datasets.filename import parse_msmt17
from reidsearch.datasets.walk import Walk, sample
from reidsearch.errors import DatasetError
from reidsearch.types import Dataset, Rejected, Sighting, Split

LISTS = {
    "list_train.txt": ("train", Split.TRAIN),
    "list_val.txt": ("train", Split.TRAIN),
    "list_query.txt": ("test", Split.QUERY),
    "list_gallery.txt": ("test", Split.GALLERY),
}
FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}
MAX_BYTES = 200_000_000  # of a list; MSMT17's have 5 MB
EXAMPLE = "0000_000_01_0303morning_0015_0.jpg"
SHOWN = 300  # characters of a listed path that is not there


class Msmt17:
    """Reader of a folder with such lists, and train and test beside them."""

    name = "msmt17"

    def recognises(self, root: Path) -> bool:
        """Whether lists and folders are there, and the pictures are called as MSMT17's are."""
        return _has_pictures(root, {LISTS[file][0] for file in _lists(root)})

    def lacks_lists(self, root: Path) -> bool:
        """Whether the folders and pictures are there, but none of the lists."""
        return not _lists(root) and _has_pictures(root, set(FOLDERS))

    def read(self, root: Path, wanted: Wanted) -> Dataset:
        """The parts that are wanted; a listed picture that is not there is told when it is read.

        Pictures that no list of these parts has are passed over. Raises DatasetError where none of
        the lists is there.
        """
        lists = [
            (file, part, split)
            for file, (part, split) in LISTS.items()
            if split in wanted.splits and (root / file).is_file()
        ]
        if not lists:
            raise DatasetError(
                f"{root} has no list of that part",
                hint="It has {here}; choose with {split}.",
                here=", ".join(_lists(root)) or "none",
            )
        walk = Walk(root, follow_links=wanted.follow_links)
        there: dict[str, frozenset[str]] = {}
        sightings: dict[str, Sighting] = {}
        for file, part, split in lists:
            folder = _folder(root, part)
            if folder is None:
                raise DatasetError(
                    f"{root} has {file}, but no folder {' or '.join(FOLDERS[part])}",
                    hint="Unpack the whole of it.",
                )
            if folder not in there:
                there[folder] = frozenset(walk.pictures(folder, split))
            for line in _lines(root / file):
                path = f"{folder}/{PurePosixPath(line)}"
                seen = parse_msmt17(path, split)
                if seen is not None and path in there[folder]:
                    sightings[path] = seen
                elif not any(path.startswith(f"{one}/") for one in walk.unseen):
                    is_there = path in there[folder]
                    lacks = f"its name does not follow {EXAMPLE}" if is_there else "it is not there"
                    reason = f"listed in {file}, but {lacks}"
                    walk.rejected.append(Rejected(path[:SHOWN], reason, split, is_picture=is_there))
        name = wanted.name or folder_name(root)
        return dataset(
            name,
            root,
            sightings.values(),
            walk.rejected,
            wanted.splits,
            site=name,
            layout=self.name,
            walk=walk,
        )


def _lists(root: Path) -> list[str]:
    return [file for file in LISTS if (root / file).is_file()]


def _has_pictures(root: Path, parts: set[str]) -> bool:
    """Whether the folders of these parts have pictures that are called as MSMT17's are."""
    folders = [folder for part in parts if (folder := _folder(root, part))]
    names = [name for folder in folders for name in sample(root / folder)]
    fit = sum(parse_msmt17(name) is not None for name in names)
    return bool(names) and fit >= MOST * len(names)


def _folder(root: Path, part: str) -> str | None:
    return next((name for name in FOLDERS[part] if (root / name).is_dir()), None)


def _lines(path: Path) -> Iterator[str]:
    """The paths in a list. Raises DatasetError where it cannot be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DatasetError(f"{path} is too large for a list of pictures")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from None
    for line in text.splitlines():
        if line.strip():
            yield line.strip().rsplit(maxsplit=1)[0].replace("\\", "/").lstrip("/")
