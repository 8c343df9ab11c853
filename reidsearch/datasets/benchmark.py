"""Layouts of published data sets: a folder for each part, and names of one pattern."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reidsearch.datasets.base import Wanted, dataset, folder_name, listed
from reidsearch.datasets.walk import Walk, sample, subfolders
from reidsearch.errors import DatasetError
from reidsearch.types import Dataset, Rejected, Sighting, Split

MOST = 0.9  # of the names looked at must fit


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A reader of ``folders`` (name -> part) whose pictures ``parse`` understands, which gives None
    for others.

    ``marks`` are the folders that no other layout has; without any of them beside, a folder is no
    proof. A data set of this kind is a site of its own.
    """

    name: str
    title: str
    folders: Mapping[str, Split]
    marks: frozenset[str]
    parse: Callable[[str, Split], Sighting | None]
    example: str

    def recognises(self, root: Path) -> bool:
        """Whether its folders are there, and have pictures that are called as its are."""
        there = [name for name in subfolders(root) if name in self.folders]
        if not there or not (self.marks & set(there) or not self._others(root)):
            return False
        names = [name for folder in there for name in sample(root / folder)]
        fit = sum(self.parse(name, Split.GALLERY) is not None for name in names)
        return bool(names) and fit >= MOST * len(names)

    def read(self, root: Path, wanted: Wanted) -> Dataset:
        """The parts that are wanted.

        A picture whose name does not follow the pattern is rejected: it would have no place in the
        protocol. Raises DatasetError where none of these parts is there.
        """
        there = [name for name in subfolders(root) if name in self.folders]
        chosen = [name for name in self.folders if self.folders[name] in wanted.splits]
        if not set(chosen) & set(there):
            raise DatasetError(
                f"{root} has no {', '.join(chosen) or 'such part'}",
                hint="It has {here}; choose with {split}.",
                here=", ".join(there),
            )
        walk = Walk(root, follow_links=wanted.follow_links)
        sightings = []
        for folder in chosen:
            if folder not in there:
                continue
            split = self.folders[folder]
            for path in walk.pictures(folder, split):
                seen = self.parse(path, split)
                if seen is None:
                    reason = f"its name does not follow {self.example}"
                    walk.rejected.append(Rejected(path, reason, split))
                else:
                    sightings.append(seen)
        name = wanted.name or folder_name(root)
        others = self._others(root)
        passed = f"Read as {self.title}, of which {listed(others)} is no part and was passed over."
        return dataset(
            name,
            root,
            sightings,
            walk.rejected,
            wanted.splits,
            site=name,
            layout=self.name,
            walk=walk,
            notes=[passed] if others else [],
        )

    def _others(self, root: Path) -> list[str]:
        """Folders beside its own that have pictures."""
        return [
            name
            for name in subfolders(root)
            if name not in self.folders and sample(root / name, count=1)
        ]
