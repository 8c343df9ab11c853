"""CUHK03 as pictures: images_labeled, cut out by hand, and images_detected; names 1_001_1_01.png.

The two show the same people, so one of them is a data set. A protocol draws its parts; the usual
one (Zhong et al., CVPR 2017: 767 people to train with, 700 to test with) is listed in the file
cuhk03_new_protocol_config_labeled.mat, or _detected.mat, beside the folder. Without it, all is
gallery.
"""

from dataclasses import replace
from pathlib import Path

from reidsearch.datasets import matlab
from reidsearch.datasets.base import Wanted, dataset, folder_name
from reidsearch.datasets.filename import parse_cuhk03
from reidsearch.datasets.walk import Walk, sample, subfolders
from reidsearch.errors import DatasetError
from reidsearch.types import Dataset, Rejected, Split

FOLDERS = ("images_labeled", "images_detected")
LIST = "cuhk03_new_protocol_config_{kind}.mat"
PARTS = {"train_idx": Split.TRAIN, "query_idx": Split.QUERY, "gallery_idx": Split.GALLERY}


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
        """The parts that are wanted, or without a list of the parts all pictures as gallery.

        Raises DatasetError where both folders are below, and on a list that makes no sense.
        """
        there = [name for name in subfolders(root) if name in FOLDERS]
        if len(there) > 1:
            raise DatasetError(
                f"{root} holds CUHK03 twice, cut out by hand and by a detector",
                hint="Name one of them: {folders}.",
                folders=" or ".join(str(root / name) for name in there),
            )
        folder = root / there[0] if there else root.absolute()
        kind = "detected" if "detected" in folder.name.lower() else "labeled"
        parts_in = folder.parent / LIST.format(kind=kind)
        parts = _parts(parts_in) if parts_in.is_file() else None
        walk = Walk(root, follow_links=wanted.follow_links)
        sightings = []
        for path in walk.pictures(there[0] if there else ""):
            seen = parse_cuhk03(path)
            split = parts.get(path.rpartition("/")[2].partition(".")[0]) if parts else None
            if seen is None:
                walk.rejected.append(Rejected(path, "its name does not follow 1_001_1_01.png"))
            elif parts is None:
                sightings.append(seen)
            elif split is None:
                walk.rejected.append(Rejected(path, f"{parts_in.name} does not list it"))
            elif split in wanted.splits:
                sightings.append(replace(seen, split=split))
        note = (
            f"CUHK03's usual parts are listed in {parts_in.name}, which is not beside "
            f"{folder.name}: all was read as gallery."
        )
        name = wanted.name or folder_name(root)
        return dataset(
            name,
            root,
            sightings,
            walk.rejected,
            Split if parts is None else wanted.splits,
            site=name,
            layout=self.name,
            walk=walk,
            notes=[note] if parts is None else [],
        )


def _parts(path: Path) -> dict[str, Split]:
    """The parts of pictures by their names without an ending. Raises DatasetError."""
    names = [name.partition(".")[0] for name in matlab.texts(path, "filelist")]
    parts: dict[str, Split] = {}
    for called, split in PARTS.items():
        places = matlab.numbers(path, called).ravel()
        if len(places) and not 1 <= places.min() <= places.max() <= len(names):
            raise DatasetError(
                f"{path} numbers pictures that it does not have", hint="Get it anew."
            )
        parts |= {names[place - 1]: split for place in places}
    return parts
