"""Crops with what is known of them, decoded once into one uint8 tensor."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reidsearch import datasets, names
from reidsearch.errors import UsageError
from reidsearch.pictures import contents, decoding
from reidsearch.ranking.clock import Clock
from reidsearch.types import DISTRACTOR, JUNK, UNKNOWN, Ids, Labels, Sighting, Split
from reidsearch.words import counted


@dataclass(frozen=True)
class Crops:
    """N crops with their labels: ``images`` is N H W 3 uint8, ``paths`` are below ``root``."""

    images: Tensor
    labels: Labels
    paths: list[str]
    root: Path

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, rows: np.ndarray) -> "Crops":
        """The crops where the boolean mask ``rows`` is true."""
        return Crops(
            self.images[torch.from_numpy(rows)],
            self.labels[rows],
            [p for p, keep in zip(self.paths, rows, strict=True) if keep],
            self.root,
        )


@dataclass(frozen=True)
class Splits:
    """Which crops of a data set are for training, whether it has a test split, and whether it is
    in Market-1501's layout."""

    training: Split
    test: bool
    market: bool


def splits(path: Path) -> Splits:
    """How the crops at ``path`` divide. A folder or CSV without splits is all for training.

    Raises UsageError where there are splits, but none for training.
    """
    found = datasets.read(path, splits=Split)
    present = {s.split for s in found.sightings}
    market = found.layout in ("market1501", "dukemtmc")
    if Split.TRAIN in present:
        return Splits(Split.TRAIN, test={Split.QUERY, Split.GALLERY} <= present, market=market)
    if present == {Split.GALLERY} and not market:
        return Splits(Split.GALLERY, test=False, market=False)
    raise UsageError(
        f"{path} has a test split, but nothing to train on",
        hint="Add bounding_box_train, or rows of split train to the CSV.",
    )


def load(path: Path, split: Split, *, height: int, width: int) -> Crops:
    """All crops of one split at ``path``. Raises ImageError on the first that is damaged."""
    dataset = datasets.read(path, splits=[split])

    def decode(sighting: Sighting) -> np.ndarray:
        data = contents.read_inside(dataset.root, sighting.path)
        return decoding.decode(data, size=(height, width))

    decoded = np.empty((len(dataset.sightings), height, width, 3), dtype=np.uint8)
    with ThreadPoolExecutor() as pool:
        for row, pixels in enumerate(pool.map(decode, dataset.sightings)):
            decoded[row] = pixels
    labels = Labels(
        numbered(s.identity for s in dataset.sightings),
        numbered(s.camera for s in dataset.sightings),
    )
    paths = [s.path for s in dataset.sightings]
    return Crops(torch.from_numpy(decoded), labels, paths, dataset.root)


def times(path: Path, split: Split) -> tuple[Clock | None, dict[str, float]]:
    """When the crops of one split at ``path`` were seen, by path, and the clock that says it: no
    clock where no time is known, and NaN for a crop without."""
    sightings = datasets.read(path, splits=[split]).sightings
    camera = numbered(s.camera for s in sightings)
    sequence, frame = (
        np.array([UNKNOWN if n is None else n for n in column], dtype=np.int64)
        for column in ([s.sequence for s in sightings], [s.frame for s in sightings])
    )
    timestamp = np.array([np.nan if s.timestamp is None else s.timestamp for s in sightings])
    try:
        clock = Clock.of(camera, sequence, frame, timestamp)
    except UsageError:
        return None, {s.path: np.nan for s in sightings}
    known = clock.times(camera, sequence, frame, timestamp).tolist()
    return clock, dict(zip((s.path for s in sightings), known, strict=True))


def numbered(labels: Iterable[str | None]) -> Ids:
    """A number for each name, UNKNOWN where there is none: the name itself where all are whole
    numbers, and else counted from 1 in their order."""
    given = list(labels)
    known = names.in_order({name for name in given if name is not None})
    numbers = {name: names.number(name) for name in known}
    if any(isinstance(value, str) for value in numbers.values()):
        nobody = {names.JUNK: JUNK, names.DISTRACTOR: DISTRACTOR}
        somebody = (name for name in known if name not in nobody)
        numbers = {**nobody, **{name: at for at, name in enumerate(somebody, start=1)}}
    return np.array([UNKNOWN if n is None else numbers[n] for n in given], dtype=np.int64)


def people(crops: Crops) -> Crops:
    """The crops of known people: no junk, no distractors, nobody unlabelled.

    Raises UsageError where there are none.
    """
    known = crops.subset(crops.labels.identity > 0)
    if not len(known):
        raise UsageError(
            f"none of the {len(crops)} crops below {crops.root} has an identity",
            hint="Name them like 0002_c1.jpg (identity 2, camera 1), or list them in a CSV with "
            "the columns path, identity and camera.",
        )
    return known


def left_out(crops: Crops) -> str:
    """Whom ``people`` leaves out of these, and what to do where that is not meant; empty where
    nobody is."""
    identity = crops.labels.identity
    kinds = {DISTRACTOR: "the identity 0", JUNK: "the identity -1", UNKNOWN: "nobody known"}
    counts = {kind: int((identity == value).sum()) for value, kind in kinds.items()}
    said = [f"{counted(count, 'crop')} of {kind}" for kind, count in counts.items() if count]
    number = "; people are numbered from 1" if counts["the identity 0"] else ""
    return f"left out: {', '.join(said)}{number}" if said else ""


def tenth(crops: Crops) -> int:
    """How many identities to hold out by default: a tenth, or none where cameras are unknown,
    because then no pair of images is known to come from two of them."""
    if (crops.labels.camera == UNKNOWN).any():
        return 0
    return len(np.unique(crops.labels.identity)) // 10


def hold_out(crops: Crops, identities: int, *, seed: int) -> tuple[Crops, Crops, Crops]:
    """Split off validation identities: the rest, validation probes and gallery. Who is not known
    stays in the rest.

    Of each held-out identity, the first image from each camera becomes a probe, the others
    gallery. Raises UsageError where fewer than two identities would be left, or where nobody
    held out was seen by two cameras.
    """
    everyone = np.unique(crops.labels.identity[crops.labels.identity > 0])
    if identities > len(everyone) - 2:
        raise UsageError(f"cannot hold out {identities} of {len(everyone)} identities")
    chosen = np.random.default_rng(seed).choice(everyone, identities, replace=False)
    held = np.isin(crops.labels.identity, chosen)
    _, first = np.unique(
        np.stack([crops.labels.identity, crops.labels.camera]), axis=1, return_index=True
    )
    is_probe = np.zeros(len(crops), dtype=bool)
    is_probe[first] = True
    probes, gallery = crops.subset(held & is_probe), crops.subset(held & ~is_probe)
    cross_camera = (gallery.labels.identity == probes.labels.identity[:, None]) & (
        gallery.labels.camera != probes.labels.camera[:, None]
    )
    if not cross_camera.any():
        raise UsageError(
            f"none of the {identities} held-out people can be found by another camera",
            hint="Hold out more, or measure nothing with --hold-out 0.",
        )
    return crops.subset(~held), probes, gallery
