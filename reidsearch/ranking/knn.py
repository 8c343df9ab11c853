"""Each image's nearest among all, without a distance matrix."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reidsearch.types import Distances, Ids, Vectors

BLOCK = 1024  # images whose cosines to all others are held at once
SLABS = 16  # into which cosines are cut to find the largest of them
SAMPLED = 16  # one image in so many is enough to see which cosines can be among the largest
ROUNDING = 1e-5  # by which one cosine, computed twice, never differs


@dataclass(frozen=True)
class KNearest:
    """The ``nearest`` images of each of N, itself among them (N x K, positions, the nearest first),
    their ``cosines`` (N x K), and the cosine of the farthest image, ``least`` (N).

    Ties go to the smaller position.
    """

    nearest: Ids
    cosines: Vectors
    least: Vectors

    @property
    def largest(self) -> Distances:
        """Each image's distance to the farthest, by which others are divided: where all images are
        equal, as good as none."""
        return np.maximum(squared_distances(self.least), np.float32(2 * ROUNDING))

    def mutual(self, of: Ids, k: int, *, at_once: int = BLOCK) -> NDArray[np.bool_]:
        """Which of the k nearest (M x k) of these images have them among their own k nearest."""
        out = np.zeros((len(of), k), dtype=bool)
        for start in range(0, len(of), at_once):
            block = of[start : start + at_once]
            theirs = self.nearest[self.nearest[block, :k], :k]  # B k k
            for nth in range(k):
                out[start : start + at_once] |= theirs[..., nth] == block[:, None]
        return out


def k_nearest(vectors: Vectors, *, of: Ids | None = None, k: int, at_once: int = BLOCK) -> KNearest:
    """Of the images at the positions ``of``, or of all, among all N; k, or N where N is less. The
    cosines of so many images ``at_once`` are held."""
    size = len(vectors)
    k = min(k, size)
    if of is None:
        fill_half = SymmetricCosines(vectors, k, at_once=at_once).fill
        return select(fill_half, count=size, size=size, k=k, at_once=at_once)

    def fill(rows: slice, out: Vectors) -> Vectors:
        np.matmul(vectors[of[rows]], vectors.T, out=out)
        least: Vectors = out.min(axis=1)
        return least

    return select(fill, count=len(of), size=size, k=k, at_once=at_once)


class SymmetricCosines:
    """The cosines of N images to each other from half of the products: those left of the diagonal
    were computed right of it, when it was the other image's turn.

    Of these, only such are kept as can be among an image's k largest: a share of all that falls
    with N. Where they are too many all the same (one image stored thousands of times), the product
    is made again instead.
    """

    def __init__(self, vectors: Vectors, k: int, *, at_once: int = BLOCK) -> None:
        size = len(vectors)
        self.vectors = vectors
        self.at_once = at_once
        self.least = np.full(size, np.inf, dtype=np.float32)
        # The k-th largest of some cosines is no more than the k-th largest of all.
        some = vectors[:: min(SAMPLED, size // k)]
        self.bars = np.empty(size, dtype=np.float32)
        for start in range(0, size, at_once):
            part = np.partition(vectors[start : start + at_once] @ some.T, -k, axis=1)[:, -k]
            self.bars[start : start + at_once] = part - ROUNDING
        self.too_many = 4 * k / len(some)  # k / len(some) are to be expected
        self.kept: dict[int, list[tuple[slice, _Entries | None]]] = defaultdict(list)

    def fill(self, rows: slice, out: Vectors) -> Vectors:
        """Write the cosines of the next images (B x N), -inf for such as cannot be among the
        k largest; give each one's least (B)."""
        right = out[:, rows.start :]
        np.matmul(self.vectors[rows], self.vectors[rows.start :].T, out=right)
        out[:, : rows.start] = -np.inf
        for others, kept in self.kept.pop(rows.start, ()):
            if kept is None:
                np.matmul(self.vectors[rows], self.vectors[others].T, out=out[:, others])
            else:
                out[kept.rows, kept.columns] = kept.values
        for start in range(rows.stop, out.shape[1], self.at_once):
            others = slice(start, start + self.at_once)
            block = out[:, others]
            np.minimum(self.least[others], block.min(axis=0), out=self.least[others])
            place = np.flatnonzero(block >= self.bars[others])
            entries = None
            if len(place) <= self.too_many * block.size:
                own, other = np.divmod(place.astype(np.int32), block.shape[1])
                entries = _Entries(other, own + rows.start, block[own, other])
            self.kept[start].append((rows, entries))
        least: Vectors = np.minimum(self.least[rows], right.min(axis=1))
        return least


class _Entries(NamedTuple):
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: Vectors


def select(
    fill: Callable[[slice, Vectors], Vectors],
    *,
    count: int,
    size: int,
    k: int,
    at_once: int = BLOCK,
    most: float = 1.0,
) -> KNearest:
    """Of ``count`` images among ``size``, in turn; ``fill`` writes the cosines of so many of them
    ``at_once`` to all, and gives each one's least. Rounding must not pass ``most``; where scores
    take the place of cosines, that is more."""
    width = -(-size // min(SLABS, size // k))
    slabs = -(-size // width)
    # Padded to whole slabs, and one array is used again and again: new ones are slow.
    cosines = np.empty((min(at_once, count), slabs * width), dtype=np.float32)
    cosines[:, size:] = -np.inf
    nearest, near = np.empty((count, k), dtype=np.int64), np.empty((count, k), np.float32)
    least = np.empty(count, dtype=np.float32)
    for start in range(0, count, at_once):
        rows = slice(start, min(start + at_once, count))
        block = cosines[: rows.stop - start]
        least[rows] = fill(rows, block[:, :size])
        # The k-th largest of the columns' maxima is no more than the k-th largest of all.
        tops = block.reshape(len(block), slabs, width).max(axis=1)
        bar = np.minimum(np.partition(tops, width - k, axis=1)[:, width - k], most)
        place = np.flatnonzero(block >= bar[:, None])
        row, column = np.divmod(place, slabs * width)
        values = np.minimum(block.reshape(-1)[place], most)
        order = np.lexsort((column, -values, row))
        first = np.searchsorted(row, np.arange(len(block)))
        kept = order[first[:, None] + np.arange(k)]
        nearest[rows], near[rows] = column[kept], values[kept]
    return KNearest(nearest, near, least)


def squared_distances(cosines: Vectors) -> Distances:
    """Squared Euclidean distances of unit vectors; rounding must not make them negative."""
    found = -2 * cosines
    found += 2
    return np.maximum(found, 0, out=found)
