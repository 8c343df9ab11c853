"""Cells: many vectors in groups of like ones, each of which looks for its nearest in a few groups.

All pairs of 300,000 vectors are too many. So k-means on the sphere (Dhillon and Modha, "Concept
decompositions for large sparse text data using clustering", Machine Learning 42, 2001) makes some
centres from a sample. A vector is at home in the cell whose centre is nearest to it, and looks for
neighbours among those that are at home in the LOOKED_IN cells nearest to it, as an inverted file
does it (Sivic and Zisserman, "Video Google", ICCV 2003). Some are missed: those of a cell that it
did not look in.

In which cells a vector is at home and looks depends on it and on the centres alone, so that whom it
finds depends on who is there and on the centres, and not on who came first.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np

from reidsearch.ranking.arrays import from_npz, groups, to_npz
from reidsearch.ranking.knn import ROUNDING
from reidsearch.types import Ids, Vectors

# Among so many images all pairs are compared, among more those that cells bring together: twice as
# many take four times as long, and the promise of the same vectors from scratch is worth a minute.
ALL_PAIRS_UP_TO = 60_000
LOOKED_IN = 16  # cells, which find 98 of 100 neighbours: benchmarks/cells.py
SHARE = 2.0  # cells for each image of the square root of their number
SAMPLED = 40  # vectors for each cell, that centres are made from
ROUNDS = 10  # of k-means; afterwards hardly a vector moves
GROWTH = 2.0  # times the images, or as many times fewer, after which cells are made anew
BLOCK = 2048  # vectors compared with all centres at once
SPARE = 4  # more cells than looked in, as single precision may order the last ones otherwise


class Pairing(StrEnum):
    """Among which images neighbours are looked for."""

    ALL = "all pairs"
    CELLS = "cells"

    @classmethod
    def of(cls, images: int) -> "Pairing":
        """Among so many."""
        return cls.CELLS if images > ALL_PAIRS_UP_TO else cls.ALL


@dataclass(frozen=True)
class Division:
    """The cells in which each of N vectors looks, of ``count`` (``looked``, N x P, the nearest
    first); it is at home in the first one."""

    looked: Ids
    count: int

    @property
    def homes(self) -> dict[int, Ids]:
        """The positions of those that are at home in each cell, ascending."""
        return groups(self.looked[:, 0])

    def lookers(self, rows: Ids) -> dict[int, Ids]:
        """Which of the vectors at these positions (R) look in each cell: places in ``rows``,
        ascending."""
        width = self.looked.shape[1]
        return {cell: at // width for cell, at in groups(self.looked[rows].reshape(-1)).items()}


@dataclass(frozen=True)
class Cells:
    """The ``centres`` (C x D, of unit length) of cells that were made for so many ``images``."""

    centres: Vectors
    images: int

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def looked_in(self) -> int:
        """In how many of them each vector looks."""
        return min(LOOKED_IN, len(self))

    def outgrown(self, images: int) -> bool:
        """Whether so many are to be divided otherwise."""
        return not self.images / GROWTH < images < self.images * GROWTH

    def divide(self, vectors: Vectors, *, looked_in: int | None = None) -> Division:
        """In which cells each of N vectors (N x D) looks, by default LOOKED_IN. The same whatever
        others there are."""
        count = self.looked_in if looked_in is None else min(looked_in, len(self))
        wanted = min(count + SPARE, len(self))
        looked = np.empty((len(vectors), count), dtype=np.int64)
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK]
            cosines = block @ self.centres.T
            cells = np.sort(np.argpartition(cosines, -wanted, axis=1)[:, -wanted:], axis=1)
            near = np.take_along_axis(cosines, cells, axis=1)
            order = np.argsort(-near, axis=1, kind="stable")
            near = np.take_along_axis(near, order, axis=1)
            cells = np.take_along_axis(cells, order, axis=1)
            # Single precision leaves open which of two is nearer: these are computed once more.
            close = np.zeros(len(block), dtype=bool)
            for edge in {1, count} - {wanted}:
                close |= near[:, edge - 1] - near[:, edge] < ROUNDING
            for row in np.flatnonzero(close).tolist():
                found = cells[row] = np.sort(cells[row])
                exact = np.einsum("cd,d->c", self.centres[found].astype(np.float64), block[row])
                cells[row] = found[np.argsort(-exact, kind="stable")]
            looked[start : start + BLOCK] = cells[:, :count]
        return Division(looked, len(self))

    def to_bytes(self) -> bytes:
        """As an .npz archive; that of the same cells is the same."""
        return to_npz(centres=self.centres, images=np.array(self.images))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of ``to_bytes``."""
        saved = from_npz(data)
        return cls(saved["centres"], int(saved["images"]))


def learn(
    vectors: Vectors, *, images: int, count: int | None = None, rounds: int = ROUNDS
) -> Cells:
    """Cells for so many ``images``, from the first of their vectors (N x D, of unit length),
    SAMPLED for each cell at most, in the order of the images' ids: these are hashes, so that the
    first ones are as good as drawn, whenever they came. ``count`` cells at most, by default
    ``enough``; those that nothing is at home in are left out."""
    count = enough(images) if count is None else count
    sample = vectors[: SAMPLED * count]
    centres = sample[:count].copy()
    for _ in range(rounds):
        for cell, rows in groups(_nearest(sample, centres)).items():
            total = sample[rows].sum(axis=0, dtype=np.float64)
            length = float(np.linalg.norm(total))
            if length > 0:
                centres[cell] = total / length
    return Cells(centres[np.unique(_nearest(sample, centres))], images)


def enough(images: int) -> int:
    """Cells for so many images."""
    return round(SHARE * math.sqrt(images))


def _nearest(vectors: Vectors, centres: Vectors) -> Ids:
    found = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), BLOCK):
        found[start : start + BLOCK] = (vectors[start : start + BLOCK] @ centres.T).argmax(axis=1)
    return found
