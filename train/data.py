"""Labelled crops, decoded once into one uint8 tensor."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reidsearch import datasets, images
from reidsearch.errors import UsageError
from reidsearch.types import Labels, Sighting, Split, optional


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
            Labels(self.labels.identity[rows], self.labels.camera[rows]),
            [p for p, keep in zip(self.paths, rows, strict=True) if keep],
            self.root,
        )


def load(path: Path, split: Split, *, height: int, width: int) -> Crops:
    """All crops of one split at ``path``. Raises ImageError on the first that is damaged."""
    dataset = datasets.read(path, splits=[split])

    def decode(sighting: Sighting) -> np.ndarray:
        data = images.read_bytes(dataset.root / sighting.path)
        return images.decode(data, size=(height, width))

    decoded = np.empty((len(dataset.sightings), height, width, 3), dtype=np.uint8)
    with ThreadPoolExecutor() as pool:
        for row, pixels in enumerate(pool.map(decode, dataset.sightings)):
            decoded[row] = pixels
    labels = Labels(
        optional(s.identity for s in dataset.sightings),
        optional(s.camera for s in dataset.sightings),
    )
    paths = [s.path for s in dataset.sightings]
    return Crops(torch.from_numpy(decoded), labels, paths, dataset.root)


def people(crops: Crops) -> Crops:
    """The crops of known people: no junk, no distractors, nobody unlabelled."""
    return crops.subset(crops.labels.identity > 0)


def hold_out(crops: Crops, identities: int, *, seed: int) -> tuple[Crops, Crops, Crops]:
    """Split off validation identities: the rest to train on, validation probes and gallery.

    Of each held-out identity, the first image from each camera becomes a probe, the others
    gallery. Raises UsageError where fewer than two identities would be left.
    """
    everyone = np.unique(crops.labels.identity)
    if identities > len(everyone) - 2:
        raise UsageError(f"cannot hold out {identities} of {len(everyone)} identities")
    chosen = np.random.default_rng(seed).choice(everyone, identities, replace=False)
    held = np.isin(crops.labels.identity, chosen)
    _, first = np.unique(
        np.stack([crops.labels.identity, crops.labels.camera]), axis=1, return_index=True
    )
    is_probe = np.zeros(len(crops), dtype=bool)
    is_probe[first] = True
    return crops.subset(~held), crops.subset(held & is_probe), crops.subset(held & ~is_probe)
