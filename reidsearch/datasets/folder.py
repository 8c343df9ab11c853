"""Folders of crops: with names that tell, a folder for each person, a folder for each camera."""

import re
from pathlib import Path, PurePosixPath

from reidsearch.datasets.base import Wanted, dataset, folder_name, listed
from reidsearch.datasets.filename import parse_name
from reidsearch.datasets.walk import Walk, sample, subfolders
from reidsearch.errors import UsageError
from reidsearch.types import Dataset, Rejected, Sighting, Split

PARTS = {
    "train": Split.TRAIN,
    "query": Split.QUERY,
    "probe": Split.QUERY,
    "gallery": Split.GALLERY,
    "test": Split.GALLERY,
}
# Folders called cam1, Camera-02, person_7 say what they are; lobby and alice do not.
_CAMERA = re.compile(r"(cam|camera|cctv|channel|ch|c|kamera)[ ._-]?\d{1,18}", re.IGNORECASE)
_PERSON = re.compile(r"(person|people|pers|id|pid|identity|subject)[ ._-]?\d{1,18}", re.IGNORECASE)
# A pattern for example. Braces of a text in one piece would be words of a hint's vocabulary.
_FIELDS = "_".join(f"{{{field}}}" for field in ("camera", "identity", "frame"))


class Plain:
    """Every picture at or below a folder, as gallery; names that tell camera and so on are used."""

    name = "folder"

    def recognises(self, root: Path) -> bool:
        """Any folder is one."""
        return True

    def read(self, root: Path, wanted: Wanted) -> Dataset:
        """All pictures, whatever the parts that are wanted."""
        walk = Walk(root, follow_links=wanted.follow_links)
        sightings = [parse_name(path) for path in walk.pictures()]
        told = sum(seen.camera is not None for seen in sightings)
        folders = {PurePosixPath(s.path).parts[0] for s in sightings if "/" in s.path}
        notes = []
        if folders and not told:
            notes.append(
                f"Its folders, {listed(sorted(folders))}, were taken for nothing. If each is a "
                "camera or a person, say so: layout cameras, or layout people."
            )
        elif sightings and not told:
            notes.append(
                f"Its files' names, {sightings[0].path} for one, tell no cameras. A pattern says "
                f"how they are made: {_FIELDS}.jpg, or the like."
            )
        return dataset(
            wanted.name or folder_name(root),
            root,
            sightings,
            walk.rejected,
            Split,
            layout=self.name,
            walk=walk,
            notes=notes,
        )


class Folders:
    """A folder for each person, or for each camera; above them may be folders for the parts, called
    train, query (or probe) and gallery (or test). What a file's name tells is used, too."""

    def __init__(self, name: str, *, field: str, called: re.Pattern[str]) -> None:
        self.name = name
        self._field = field
        self._called = called

    def recognises(self, root: Path) -> bool:
        """Whether all folders are called as such, and no picture lies beside them; below folders
        for query and gallery, those of people may be called by anything that is no camera."""
        parts = _parts(root)
        tops = list(parts) or [""]
        if any(sample(root / top, count=1, deep=False) for top in {"", *tops}):
            return False
        folders = [(top, name) for top in tops for name in subfolders(root / top)]
        called = {(top, name) for top, name in folders if self._called.fullmatch(name)}
        others = [
            name
            for top, name in folders
            if (top, name) not in called and sample(root / top / name, count=1)
        ]
        if called and not others:
            # Names that tell cameras of their own leave open which the folders are.
            told = (parse_name(file).camera for top in tops for file in sample(root / top))
            return self._field == "identity" or not any(told)
        whole = {PARTS[part.lower()] for part in parts} >= {Split.QUERY, Split.GALLERY}
        by_person = bool(others) and not any(map(_CAMERA.fullmatch, others))
        return self._field == "identity" and whole and by_person

    def read(self, root: Path, wanted: Wanted) -> Dataset:
        """All pictures in these folders; those beside them are rejected."""
        parts = _parts(root)
        walk = Walk(root, follow_links=wanted.follow_links)
        sightings = []
        chosen = {part: split for part, split in parts.items() if split in wanted.splits}
        for part, split in (chosen if parts else {"": Split.GALLERY}).items():
            for path in walk.pictures(part, split):
                above = PurePosixPath(path).parts[bool(part) : -1]
                if not above:
                    reason = f"lies beside the folders of the {self.name}"
                    walk.rejected.append(Rejected(path, reason, split))
                    continue
                try:
                    sightings.append(self._sighting(path, split, above[0]))
                except UsageError as error:
                    walk.rejected.append(Rejected(path, error.message, split))
        left = [name for name in parts if name not in chosen]
        notes = [f"Not taken in: {listed(left)}."] if left else []
        return dataset(
            wanted.name or folder_name(root),
            root,
            sightings,
            walk.rejected,
            wanted.splits if parts else Split,
            layout=self.name,
            walk=walk,
            notes=notes,
        )

    def _sighting(self, path: str, split: Split, folder: str) -> Sighting:
        told = parse_name(path, split)
        camera, identity = told.camera, told.identity
        if self._field == "camera":
            camera = folder
        else:
            identity = folder
        return Sighting(path, split, camera, identity, told.sequence, told.frame, told.timestamp)


PLAIN = Plain()
PEOPLE = Folders("people", field="identity", called=_PERSON)
CAMERAS = Folders("cameras", field="camera", called=_CAMERA)


def _parts(root: Path) -> dict[str, Split]:
    """The folders of a root, where all that have pictures are parts of a data set, with what they
    are."""
    folders = subfolders(root)
    if all(name.lower() in PARTS or not sample(root / name, count=1) for name in folders):
        return {name: PARTS[name.lower()] for name in folders if name.lower() in PARTS}
    return {}
