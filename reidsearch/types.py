"""The data that travels between modules: frozen, checked when it is made."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import repeat
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reidsearch import names
from reidsearch.errors import UsageError

Pixels = NDArray[np.uint8]  # N x H x W x 3, RGB
Vectors = NDArray[np.float32]  # N x D, rows of unit length
Distances = NDArray[np.floating]  # Q x G; smaller is nearer
Ids = NDArray[np.int64]  # N
Choice = TypeVar("Choice", bound=StrEnum)
Payload = dict[str, str | int | float]  # what a vector store knows of an image, see Points

JUNK = -1  # the identity of a bad detection
DISTRACTOR = 0  # the identity of people nobody asks for
UNKNOWN = -2  # stands for "not known" where an array has no room for None
LARGEST = 2**63 - 1  # what SQLite, Qdrant and NumPy hold
YEAR_1, YEAR_10000 = -62_135_596_800, 253_402_300_800  # seconds since 1970 UTC


class Split(StrEnum):
    """The part an image plays in an evaluation."""

    TRAIN = "train"
    QUERY = "query"
    GALLERY = "gallery"
    MULTI_QUERY = "multi-query"


class Scan(StrEnum):
    """How stored vectors are looked through for those nearest to another."""

    EXACT = "exact"  # each of them is compared
    QUANTISED = "quantised"  # smaller copies of them are, and the best of these once more in full


class Kind(StrEnum):
    """Which vector of a stored point."""

    PLAIN = "plain"  # what the encoder made of the image
    EXPANDED = "expanded"  # the same, carrying its nearest neighbours


@dataclass(frozen=True, slots=True)
class Sighting:
    """One person crop, as a data set describes it.

    ``path`` is relative to the data set's root, with forward slashes. ``camera`` and ``identity``
    are names at the data set's site (see ``names``), and become written as those are; an identity
    of names.JUNK or names.DISTRACTOR is nobody's. ``frame`` counts frames within ``sequence``;
    ``timestamp`` is in seconds since 1970 UTC. None means "not known".

    Raises UsageError on names and numbers that the stores cannot hold.
    """

    path: str
    split: Split = Split.GALLERY
    camera: str | None = None
    identity: str | None = None
    sequence: int | None = None
    frame: int | None = None
    timestamp: float | None = None

    def __post_init__(self) -> None:
        camera, identity = _name(self.camera, "camera"), _name(self.identity, "identity")
        if camera is not self.camera:
            object.__setattr__(self, "camera", camera)
        if identity is not self.identity:
            object.__setattr__(self, "identity", identity)
        _check_counts((self.sequence,), "sequence")
        _check_counts((self.frame,), "frame")
        _check_times((self.timestamp,))


def sightings(
    paths: Sequence[str],
    *,
    splits: Sequence[Split] = (),
    cameras: Sequence[str | None] = (),
    identities: Sequence[str | None] = (),
    sequences: Sequence[int | None] = (),
    frames: Sequence[int | None] = (),
    timestamps: Sequence[float | None] = (),
) -> list[Sighting]:
    """A Sighting for each path, in half the time that millions take one by one: columns are checked
    by themselves, and a frozen dataclass fills slowly.

    They are as long as ``paths``, or empty: then nothing is known, and the split is the gallery.
    Raises UsageError as Sighting does, ValueError on columns of another length.
    """
    _check_counts(sequences, "sequence")
    _check_counts(frames, "frame")
    _check_times(timestamps)
    columns: dict[str, Sequence[object]] = {
        "path": paths,
        "split": splits or [Split.GALLERY] * len(paths),
        "camera": [_name(camera, "camera") for camera in cameras],
        "identity": [_name(identity, "identity") for identity in identities],
        "sequence": sequences,
        "frame": frames,
        "timestamp": timestamps,
    }
    made = [object.__new__(Sighting) for _ in paths]
    for of, values in columns.items():
        if len(values) not in (0, len(made)):
            raise ValueError(f"{len(values)} values of {of} for {len(made)} paths")
        fill = vars(Sighting)[of].__set__  # what is frozen is so from here on
        deque(map(fill, made, values or repeat(None)), maxlen=0)
    return made


def _name(text: str | None, of: str) -> str | None:
    return None if text is None else names.name(text, of)


def _check_counts(numbers: Iterable[int | None], of: str) -> None:
    for number in numbers:
        if number is not None and not 0 <= number <= LARGEST:
            if number < 0:
                raise UsageError(f"{of} {number} is negative", hint=f"Count {of}s from 0 up.")
            raise UsageError(f"{of} is too large", hint=f"At most {LARGEST} can be stored.")


def _check_times(seconds: Iterable[float | None]) -> None:
    for one in seconds:
        if one is not None and not YEAR_1 <= one < YEAR_10000:  # nor NaN
            raise UsageError(
                f"timestamp {one!r} is not between the years 1 and 9999",
                hint="Give seconds since 1970, not milliseconds.",
            )


@dataclass(frozen=True, slots=True)
class Rejected:
    """What was found and could not be taken in, and why.

    Without ``is_picture`` it is no file of the data set that a later run may find mended: a table's
    row that names none, or one elsewhere; a folder; a name that no store takes.
    """

    path: str
    reason: str
    split: Split = Split.GALLERY
    is_picture: bool = True


@dataclass(frozen=True)
class Dataset:
    """What a reader found at ``root``: the crops, and the files it could not make sense of.

    ``splits`` are those that were looked for; a stored image of one of them that is in neither list
    is there no more, unless it lies in one of the folders ``unseen`` (paths relative to the root):
    links that were not followed, folders that could not be listed. None where nothing can be said
    of others. ``site`` is where its cameras and people belong, None the gallery's own. ``layout``
    names how it was read; ``passed_over`` counts the files that are no crops, by why: mostly their
    ending. ``notes`` are sentences that people should read before they believe the numbers. With
    ``follow_links`` its pictures may lie elsewhere, where links lead. Where a folder within it has
    its name, it is called by its ``spare_name``.
    """

    name: str
    root: Path
    sightings: list[Sighting]
    rejected: list[Rejected] = field(default_factory=list)
    splits: frozenset[Split] | None = None
    site: str | None = None
    layout: str | None = None
    unseen: tuple[str, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    follow_links: bool = False
    spare_name: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which stored vectors a search considers, by the catalog's ids of cameras and data sets.

    An empty tuple admits every one. ``since`` and ``until`` (seconds since 1970 UTC, the second one
    not included) admit only what has a time in between.
    """

    split: Split = Split.GALLERY
    cameras: tuple[int, ...] = ()
    without_cameras: tuple[int, ...] = ()
    datasets: tuple[int, ...] = ()
    since: float | None = None
    until: float | None = None

    @property
    def narrows(self) -> bool:
        """Whether it admits less than the whole split."""
        return self != Filter(self.split)

    def admits(self, payload: Payload) -> bool:
        """Whether a search considers a vector of that payload."""
        camera, time = payload.get("camera_id"), payload.get("time")
        if self.since is not None or self.until is not None:
            if not isinstance(time, int | float):
                return False
            if self.since is not None and time < self.since:
                return False
            if self.until is not None and time >= self.until:
                return False
        return (
            payload.get("split") == self.split
            and (not self.cameras or camera in self.cameras)
            and camera not in self.without_cameras
            and (not self.datasets or payload.get("dataset_id") in self.datasets)
        )


def check_span(since: float | None, until: float | None) -> None:
    """Raise UsageError where nothing can lie from ``since`` on and before ``until``."""
    if since is not None and until is not None and not since < until:
        raise UsageError(
            "the time to begin with is not before the time to end with",
            hint="Exchange {since} and {until}.",
        )


@dataclass(frozen=True, slots=True)
class Points:
    """Vectors on their way into a store: ``ids`` (N), ``vectors`` (N x D) and N payloads.

    A payload holds what ``Filter`` asks for, see ``stores.payload``.

    Raises ValueError on lengths that differ, and on vectors that are not of unit length: a NaN
    would be stored and never found again, a zero vector would match everything equally.
    """

    ids: Ids
    vectors: Vectors
    payloads: list[Payload]

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.vectors) == len(self.payloads):
            raise ValueError("ids, vectors and payloads differ in length")
        if not is_unit(self.vectors).all():
            raise ValueError("vectors must be finite and of unit length")


def is_unit(vectors: Vectors) -> NDArray[np.bool_]:
    """Which vectors (N x D) are finite and of unit length (N)."""
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(vectors, axis=1)
    return np.asarray(np.abs(norms - 1) < 1e-3)  # false for NaN as well


@dataclass(frozen=True, slots=True)
class Labels:
    """Identity and camera of N images; identity -1 marks junk, 0 distractors.

    Raises ValueError where the two differ in length.
    """

    identity: Ids
    camera: Ids

    def __post_init__(self) -> None:
        if self.identity.shape != self.camera.shape:
            raise ValueError("identity and camera differ in length")

    def __len__(self) -> int:
        return len(self.identity)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | Ids) -> "Labels":
        return Labels(self.identity[rows], self.camera[rows])


def known_or_unknown(values: Iterable[int | None]) -> Ids:
    """Integers with None replaced by UNKNOWN."""
    return np.array([UNKNOWN if v is None else v for v in values], dtype=np.int64)


def choice(kind: type[Choice], value: str, *, name: str) -> Choice:
    """The member of a StrEnum with that value. Raises UsageError, which calls it ``name`` and lists
    what there is to choose from."""
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"{name} {value!r} is none of {', '.join(kind)}") from None
