"""k-reciprocal re-ranking without a distance matrix.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. Each
image is described by which images are its k-reciprocal neighbours, as one sparse row; the distance
is the Jaccard distance of these rows, mixed with the original one. Nothing here grows with the
square of the number of images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidsearch.types import Ids, Vectors

K1, K2, LAMBDA = 20, 6, 0.3  # the paper's choice for Market-1501
BLOCK = 512  # images whose distances to all others are held at once
PAIRS = 1 << 14  # pairs whose vectors are held at once
SHARE = 2 / 3  # of a neighbour's own neighbours that must be shared for them to join

Distances = NDArray[np.float32]


@dataclass(frozen=True)
class Sparse:
    """A matrix by rows: row i has ``values[starts[i]:starts[i + 1]]`` in those ``columns``."""

    starts: Ids
    columns: Ids
    values: NDArray[np.float32]

    @classmethod
    def from_pairs(cls, rows: Ids, columns: Ids, values: NDArray[Any], *, size: int) -> "Sparse":
        """``size`` rows from (row, column, value); values of one place are added up."""
        keys, place = np.unique(rows * size + columns, return_inverse=True)
        sums = np.bincount(place, weights=values, minlength=len(keys)).astype(np.float32)
        starts = np.searchsorted(keys, np.arange(size + 1) * size)
        return cls(starts, keys % size, sums)

    def rows(self) -> Ids:
        """The row of each value."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def transposed(self) -> "Sparse":
        """Of a square matrix."""
        return Sparse.from_pairs(self.columns, self.rows(), self.values, size=len(self.starts) - 1)

    def take(self, rows: Ids) -> tuple[Ids, Ids]:
        """The positions of all values of these rows, in turn, and how many each row has."""
        counts = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(counts)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
        return np.repeat(self.starts[rows], counts) + within, counts


def rerank(
    probes: Vectors, gallery: Vectors, *, k1: int = K1, k2: int = K2, weight: float = LAMBDA
) -> Iterator[Distances]:
    """Re-ranked distances, a block of BLOCK probes at a time: each B x G.

    Vectors are Q x D and G x D, of unit length; the original distance is the squared Euclidean
    one, 2 - 2 cos, divided by each image's largest. ``weight`` is the original distance's share.
    Ties among neighbours go to the smaller position, probes first.
    """
    vectors = np.concatenate([probes, gallery])
    count, size = len(probes), len(vectors)
    nearest, largest = _neighbours(vectors, min(k1 + 1, size))
    encoded = _expand(_encode(vectors, nearest, largest, k1=k1), nearest[:, :k2])
    inverse = encoded.transposed()
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        original = _distances(probes[rows] @ gallery.T) / largest[rows, None]
        shared = np.stack(
            [_overlap(encoded, inverse, row, first=count) for row in range(rows.start, rows.stop)]
        )
        jaccard = 1 - shared / (2 - shared)
        yield (1 - weight) * jaccard + weight * original


def _neighbours(vectors: Vectors, k: int) -> tuple[Ids, NDArray[np.float32]]:
    """The k nearest of each image, itself among them (N x k), and its largest distance (N)."""
    nearest = np.empty((len(vectors), k), dtype=np.int64)
    largest = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK):
        distances = _distances(vectors[start : start + BLOCK] @ vectors.T)
        largest[start : start + BLOCK] = distances.max(axis=1)
        found = np.argpartition(distances, k - 1, axis=1)[:, :k]
        found.sort(axis=1)  # so that the stable sort below breaks ties by position
        order = np.take_along_axis(distances, found, axis=1).argsort(axis=1, kind="stable")
        nearest[start : start + BLOCK] = np.take_along_axis(found, order, axis=1)
    return nearest, largest


def _distances(cosines: Vectors) -> Distances:
    """Squared Euclidean distances of unit vectors; rounding must not make them negative."""
    distances: Distances = np.maximum(2 - 2 * cosines, 0)
    return distances


def _encode(vectors: Vectors, nearest: Ids, largest: NDArray[np.float32], *, k1: int) -> Sparse:
    """Each image's k-reciprocal neighbours, weighted by exp(-distance), rows adding up to 1."""
    size = len(vectors)
    mutual = _mutual(nearest[:, : k1 + 1])
    near = nearest[:, : round(k1 / 2) + 1]
    closer = np.where(_mutual(near), near, -1)  # N x (k1 / 2 + 1), -1 where not mutual
    rows, columns = [], []
    for start in range(0, size, BLOCK):
        block = np.arange(start, min(start + BLOCK, size))
        own = np.where(mutual[block], nearest[block, : k1 + 1], -2)  # B K; -2 equals no -1
        theirs = closer[np.maximum(own, 0)]  # B K C: the neighbours of each neighbour
        present = theirs >= 0
        shared = (theirs[..., None] == own[:, None, None, :]).any(-1)
        joins = (own >= 0) & (shared.sum(-1) > SHARE * present.sum(-1))
        for which, kept in ((own, own >= 0), (theirs, present & joins[..., None])):
            place = np.broadcast_to(block.reshape(-1, *[1] * (which.ndim - 1)), which.shape)
            rows.append(place[kept])
            columns.append(which[kept])
    keys = np.unique(np.concatenate(rows) * size + np.concatenate(columns))
    row, column = keys // size, keys % size
    weights = np.empty(len(keys))
    for start in range(0, len(keys), PAIRS):
        part = slice(start, start + PAIRS)
        cosines = np.einsum("pd,pd->p", vectors[row[part]], vectors[column[part]])
        weights[part] = np.exp(-_distances(cosines) / largest[row[part]])
    totals = np.bincount(row, weights=weights, minlength=size)
    return Sparse.from_pairs(row, column, weights / totals[row], size=size)


def _mutual(nearest: Ids) -> NDArray[np.bool_]:
    """Where each neighbour (N x K) has the image among its own K, too."""
    out = np.empty(nearest.shape, dtype=bool)
    for start in range(0, len(nearest), BLOCK):
        block = nearest[start : start + BLOCK]
        here = np.arange(start, start + len(block))
        out[start : start + BLOCK] = (nearest[block] == here[:, None, None]).any(-1)
    return out


def _expand(encoded: Sparse, nearest: Ids) -> Sparse:
    """Each row replaced by the mean of its K2 nearest images' rows."""
    size, k = nearest.shape
    positions, counts = encoded.take(nearest.reshape(-1))
    rows = np.repeat(np.repeat(np.arange(size), k), counts)
    return Sparse.from_pairs(
        rows, encoded.columns[positions], encoded.values[positions] / k, size=size
    )


def _overlap(encoded: Sparse, inverse: Sparse, row: int, *, first: int) -> NDArray[np.float64]:
    """The sum over columns of the smaller of a row's and another's value, for rows from
    ``first`` on."""
    own = slice(encoded.starts[row], encoded.starts[row + 1])
    positions, counts = inverse.take(encoded.columns[own])
    others, theirs = inverse.columns[positions], inverse.values[positions]
    smaller = np.minimum(np.repeat(encoded.values[own], counts), theirs)
    sums = np.bincount(others, weights=smaller, minlength=len(encoded.starts) - 1)
    return sums[first:].astype(np.float64)
