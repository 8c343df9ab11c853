"""What an exploration found: crops, how they look, and which are suspicious."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reidsearch import names
from reidsearch.documents.explorations import ExplorationDocument, exploration_document
from reidsearch.types import Ids, Rejected, Split
from reidsearch.views import exploration


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop: its ``path`` in its data set at ``root``, its split, and the names of its camera
    and identity at a site; None where they are not known."""

    path: str
    root: Path = field(repr=False)
    split: Split
    camera: str | None
    identity: str | None
    site: str | None

    @property
    def file(self) -> Path:
        return self.root / self.path

    @property
    def is_person(self) -> bool:
        """Whether it has a person's name: it is neither junk nor a distractor."""
        return self.identity not in (None, names.JUNK, names.DISTRACTOR)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A crop that looks like somebody else: the nearest crop of its ``own`` person from another
    camera has a smaller cosine than that of an ``other`` one."""

    crop: Crop
    own: Crop
    other: Crop
    own_score: float
    other_score: float

    @property
    def margin(self) -> float:
        return self.other_score - self.own_score


@dataclass(frozen=True)
class Looks:
    """How the R crops that could be read look: their ``rows`` among all, ``width`` and ``height``
    in pixels, ``brightness`` 0 to 255, ``sharpness`` (the variance of the Laplacian at
    ranking.looks.SIZE), and a ``hash``. ``unlike_crops`` counts those that are hardly crops of one
    person by size or shape."""

    rows: Ids
    width: Ids
    height: Ids
    brightness: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    hash: NDArray[np.uint64]
    unlike_crops: int

    @property
    def aspect(self) -> NDArray[np.float64]:
        """Height over width."""
        return np.asarray(self.height / self.width)


@dataclass(frozen=True)
class Exploration:
    """What there is in ``source``, a data set by its name, or "stored" for the gallery.

    ``splits`` counts each split's images of people, junk, distractors, and without an identity.
    ``cameras`` are their names, with the site's where two have one of that name, and ``shared``
    (C x C) how many people each two of them saw; the diagonal how many one saw. ``per_person`` is
    the number of images of each person, ``cameras_per_person`` of cameras that saw each, and
    ``per_camera`` the number of images of each camera. ``duplicates`` are groups of
    crops that look nearly the same, ``at_odds`` those of them with labels of several people.
    ``suspects`` are None where there are no vectors to find them with. In a notebook it shows as a
    page."""

    source: str
    crops: tuple[Crop, ...] = field(repr=False)
    splits: Mapping[str, Mapping[str, int]]
    people: int
    cameras: tuple[str, ...]
    sequences: int
    without_camera: int
    per_person: Ids = field(repr=False)
    per_camera: Ids = field(repr=False)
    cameras_per_person: Ids = field(repr=False)
    shared: Ids = field(repr=False)
    looks: Looks = field(repr=False)
    duplicates: tuple[tuple[Crop, ...], ...] = field(repr=False)
    suspects: tuple[Suspect, ...] | None = field(repr=False)
    failures: tuple[Rejected, ...] = field(repr=False)
    notes: tuple[str, ...]
    seconds: float

    @property
    def at_odds(self) -> tuple[tuple[Crop, ...], ...]:
        """The groups of duplicates that their labels call several people."""
        return tuple(
            group
            for group in self.duplicates
            if len({(crop.site, crop.identity) for crop in group if crop.is_person}) > 1
        )

    def count(self, kind: str) -> int:
        """The images of ``people``, ``junk``, ``distractors`` or ``unknown``, of all splits."""
        return sum(split[kind] for split in self.splits.values())

    def document(self) -> ExplorationDocument:
        """As a JSON document."""
        return exploration_document(self)

    def save(self, path: str | Path) -> None:
        """Write it as a page that holds all it shows; .html. Raises UsageError on another ending,
        OSError where it cannot be written."""
        exploration.save(self, Path(path))

    def _repr_html_(self) -> str:
        return exploration.html(self)
