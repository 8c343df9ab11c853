"""CUHK03 as pictures: images_labeled, cut out by hand, and images_detected; names 1_001_1_01.png.

The two show the same people, so one of them is a data set. Its parts are drawn anew by each
protocol, and listed in no file of its own: all is gallery.
"""

from pathlib import Path

from reidsearch.datasets.base import Wanted, dataset, folder_name
from reidsearch.datasets.filename import parse_cuhk03
from reidsearch.datasets.walk import Walk, sample, subfolders
from reidsearch.errors import DatasetError
from reidsearch.types import Dataset, Rejected, Split

FOLDERS = ("images_labeled", "images_detected")


class Cuhk03:
    """Reader of one of the two folders, or of the one that is there below the root."""

    name = "cuhk03"

    def recognises(self, root: Path) -> bool:
        """Whether the folders are there, or it is one, and all its pictures are called so."""
        there = [name for name in subfolders(root) if name in FOLDERS]
        names = [name for folder in there for name in sample(root / folder)]
        names = names or sample(root, deep=False)
        return bool(names) and all(parse_cuhk03(name) for name in names)

    def read(self, root: Path, wanted: Wanted) -> Dataset:
        """All its pictures as gallery. Raises DatasetError where both folders are below."""
        there = [name for name in subfolders(root) if name in FOLDERS]
        if len(there) > 1:
            raise DatasetError(
                f"{root} holds CUHK03 twice, cut out by hand and by a detector",
                hint="Name one of them: {folders}.",
                folders=" or ".join(str(root / name) for name in there),
            )
        walk = Walk(root, follow_links=wanted.follow_links)
        sightings = []
        for path in walk.pictures(there[0] if there else ""):
            seen = parse_cuhk03(path)
            if seen is None:
                walk.rejected.append(Rejected(path, "its name does not follow 1_001_1_01.png"))
            else:
                sightings.append(seen)
        name = wanted.name or folder_name(root)
        return dataset(
            name, root, sightings, walk.rejected, Split, site=name, layout=self.name, walk=walk
        )
