"""k-reciprocal re-ranking without a distance matrix, of many probes together or of one.

Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017. Each
image is described by which images are its k-reciprocal neighbours, as one sparse row; the distance
is the Jaccard distance of these rows, mixed with the original one. Nothing here grows with the
square of the number of images.

Every image's nearest neighbours are found once (``KNearest``); a gallery can keep them, so that a
single probe needs to look at few images only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.arrays import ranges
from reidsearch.ranking.knn import (
    BLOCK,
    KNearest,
    SymmetricCosines,
    k_nearest,
    select,
    squared_distances,
)
from reidsearch.types import Distances, Ids, Vectors

K1, K2, LAMBDA = 20, 6, 0.3  # the paper's choice for Market-1501
SHARE = 2 / 3  # of a neighbour's own neighbours that must be shared for them to join


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOnce:
    """How much is held at once, which time and memory depend on and results do not: the ``probes``
    whose re-ranked distances are given, the ``images`` whose cosines to all are, the ``marks`` of
    neighbours (bytes) and the ``pairs`` of vectors."""

    probes: int = 64
    images: int = BLOCK
    marks: int = 1 << 24
    pairs: int = 1 << 10


AT_ONCE = AtOnce()


@dataclass(frozen=True)
class Sparse:
    """A matrix by rows: row i has ``values[starts[i]:starts[i + 1]]`` in those ``columns``."""

    starts: Ids
    columns: Ids
    values: NDArray[np.float32]

    @classmethod
    def from_pairs(
        cls, rows: Ids, columns: Ids, values: NDArray[Any], *, shape: tuple[int, int]
    ) -> Self:
        """From (row, column, value); values of one place are added up."""
        count, width = shape
        keys, place = np.unique(rows * width + columns, return_inverse=True)
        sums = np.bincount(place, weights=values, minlength=len(keys)).astype(np.float32)
        starts = np.searchsorted(keys, np.arange(count + 1) * width)
        return cls(starts, keys % width, sums)

    def rows(self) -> Ids:
        """The row of each value."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def transposed(self, *, width: int) -> Self:
        """Of a matrix of ``width`` columns."""
        shape = (width, len(self.starts) - 1)
        return self.from_pairs(self.columns, self.rows(), self.values, shape=shape)

    def take(self, rows: Ids) -> tuple[Ids, Ids]:
        """The positions of all values of these rows, in turn, and how many each row has."""
        counts = self.starts[rows + 1] - self.starts[rows]
        return ranges(self.starts[rows], counts), counts


def rerank(
    probes: Vectors,
    gallery: Vectors,
    *,
    k1: int = K1,
    k2: int = K2,
    weight: float = LAMBDA,
    at_once: AtOnce = AT_ONCE,
) -> Iterator[Distances]:
    """Re-ranked distances, a block of probes at a time; each B x G.

    Vectors are Q x D and G x D, of unit length; the original distance is the squared Euclidean
    one, 2 - 2 cos, divided by each image's largest. ``weight`` is the original distance's share.
    Ties among neighbours go to the smaller position, probes first. The cosines of all probes to the
    gallery (Q x G) are held.
    """
    vectors = np.concatenate([probes, gallery])
    count, size = len(probes), len(vectors)
    k = min(k1 + 1, size)
    across = np.empty((count, len(gallery)), dtype=np.float32)
    mirrored = SymmetricCosines(vectors, k, at_once=at_once.images)

    def fill(rows: slice, out: Vectors) -> Vectors:
        least = mirrored.fill(rows, out)
        across[rows] = out[: max(count - rows.start, 0), count:]  # right of the diagonal
        return least

    found = select(fill, count=size, size=size, k=k, at_once=at_once.images)
    encoded = _encode(
        found, np.arange(size), lambda positions: vectors[positions], k1=k1, at_once=at_once
    )
    encoded = _mean(encoded, found.nearest[:, :k2], width=size)
    inverse = encoded.transposed(width=size)
    for start in range(0, count, at_once.probes):
        rows = slice(start, min(start + at_once.probes, count))
        original = squared_distances(across[rows])
        original /= found.largest[rows, None]
        shared = np.stack(
            [_overlap(encoded, inverse, row)[count:] for row in range(rows.start, rows.stop)]
        )
        yield _mixed(shared, original, weight)


def jaccard(
    vectors: Vectors, *, k1: int = K1, k2: int = K2, at_once: AtOnce = AT_ONCE
) -> Iterator[Distances]:
    """The Jaccard distances alone, of each of N images (N x D, of unit length) to all: N, one image
    after the other. They are 1 to whatever shares no neighbour with it."""
    size = len(vectors)
    found = k_nearest(vectors, k=k1 + 1, at_once=at_once.images)
    encoded = _encode(
        found, np.arange(size), lambda positions: vectors[positions], k1=k1, at_once=at_once
    )
    encoded = _mean(encoded, found.nearest[:, :k2], width=size)
    inverse = encoded.transposed(width=size)
    nothing = np.zeros((), dtype=np.float32)
    for row in range(size):
        yield _mixed(_overlap(encoded, inverse, row), nothing, 0.0)


def rerank_one(
    probe: Vectors, cosines: Vectors, gallery: KNearest, fetch: Callable[[Ids], Vectors]
) -> Distances:
    """Re-ranked distances (G) of one probe, as ``rerank`` gives them with no other probe beside it.

    ``probe`` is its vector (1 x D), ``cosines`` (G) are those to the gallery's images, whose
    neighbours among themselves are known; ``fetch`` gives the vectors at positions in the gallery.
    Only the images around the probe are looked at: others share no neighbour with it.
    """
    cosines = np.minimum(cosines, 1)
    found = _with_probe(cosines, gallery)
    size = len(found.nearest)
    last = size - 1  # the probe's position

    def vectors(positions: Ids) -> Vectors:
        others = positions[positions < last]  # positions ascend, the probe's comes last
        known = [fetch(others)] if len(others) else []
        return np.concatenate([*known, probe])[: len(positions)]

    # An image shares something with the probe only where one of its K2 nearest has encoded an image
    # that the probe's have: and then at most two mutual steps lie between these.
    own = np.unique(found.nearest[last, :K2])
    shares = np.unique(_encode(found, own, vectors, k1=K1).columns)
    for k in (round(K1 / 2) + 1, K1 + 1):
        k = min(k, found.nearest.shape[1])
        reached = found.nearest[shares, :k][found.mutual(shares, k)]
        shares = np.union1d(shares, reached)
    rows = np.flatnonzero(np.isin(found.nearest[:, :K2], shares).any(axis=1))
    needed = np.unique(found.nearest[rows, :K2])
    encoded = _encode(found, needed, vectors, k1=K1)
    encoded = _mean(encoded, np.searchsorted(needed, found.nearest[rows, :K2]), width=size)
    shared = np.zeros(size, dtype=np.float32)
    shared[rows] = _overlap(encoded, encoded.transposed(width=size), len(rows) - 1)
    return _mixed(shared[:last], squared_distances(cosines) / found.largest[last], LAMBDA)


def _with_probe(cosines: Vectors, gallery: KNearest) -> KNearest:
    """The gallery's neighbours with a probe, at the last position, among them."""
    size, k = gallery.nearest.shape
    wanted = min(K1 + 1, size + 1)
    nearest = np.zeros((size + 1, wanted), dtype=np.int64)
    near = np.zeros((size + 1, wanted), dtype=np.float32)
    nearest[:size, :k], near[:size, :k] = gallery.nearest, gallery.cosines
    # Only the lists that the probe gets into change.
    rows = np.flatnonzero((cosines >= gallery.cosines[:, -1]) | (k < wanted))
    joined = np.concatenate([cosines[rows, None], gallery.cosines[rows]], axis=1)
    places = np.concatenate([np.full((len(rows), 1), size), gallery.nearest[rows]], axis=1)
    order = np.argsort(-joined, axis=1, kind="stable")[:, :wanted]
    nearest[rows] = np.take_along_axis(places, order, axis=1)
    near[rows] = np.take_along_axis(joined, order, axis=1)
    best = np.argsort(-cosines, kind="stable")[: wanted - 1]
    nearest[size], near[size] = np.append(size, best), np.append(np.float32(1), cosines[best])
    least = np.append(np.minimum(cosines, gallery.least), cosines.min())
    return KNearest(nearest, near, least)


def _mixed(shared: NDArray[np.float32], original: Distances, weight: float) -> Distances:
    """In place of both: an array as large as these takes longer to get than to fill."""
    mixed = np.divide(shared, shared - 2, out=shared)  # minus the Jaccard similarity
    mixed += 1
    mixed *= 1 - weight
    original *= weight
    mixed += original
    return mixed


def _encode(
    found: KNearest,
    of: Ids,
    vectors: Callable[[Ids], Vectors],
    *,
    k1: int,
    at_once: AtOnce = AT_ONCE,
) -> Sparse:
    """The k-reciprocal neighbours of each of M images, weighted by exp(-distance), rows adding up
    to 1 (M x N). ``of`` ascends; ``vectors`` gives the vectors at ascending positions."""
    size, k = found.nearest.shape
    k, closer_k = min(k1 + 1, k), min(round(k1 / 2) + 1, k)
    needed = np.unique(found.nearest[of, :k])
    closer = np.where(found.mutual(needed, closer_k), found.nearest[needed, :closer_k], size)
    step = max(1, at_once.marks // (size + 1))
    marks = np.empty((min(step, len(of)), size + 1), dtype=bool)  # its last column is for nobody
    found_at = []
    for start in range(0, len(of), step):
        block = of[start : start + step]
        marked = marks[: len(block)]
        marked[:] = False
        place = np.arange(len(block))[:, None]
        own = np.where(found.mutual(block, k), found.nearest[block, :k], size)
        marked[place, own] = True
        marked[:, size] = False
        theirs = closer[np.searchsorted(needed, found.nearest[block, :k])]  # B K C
        shared = marked[place[..., None], theirs].sum(-1)
        joins = (own < size) & (shared > SHARE * (theirs < size).sum(-1))
        marked[np.nonzero(joins)[0][:, None], theirs[joins]] = True
        marked[:, size] = False
        found_at.append(np.flatnonzero(marked) + start * (size + 1))
    keys = np.concatenate(found_at)
    row, column = np.divmod(keys, size + 1)
    cosines = _known(found, of, keys)
    unknown = np.flatnonzero(np.isnan(cosines))
    mine, other = of[row[unknown]], column[unknown]
    involved, which = np.unique([mine, other], return_inverse=True)
    theirs = vectors(involved)
    for start in range(0, len(unknown), at_once.pairs):
        part = slice(start, start + at_once.pairs)
        one, two = (theirs[at] for at in which.reshape(2, -1)[:, part])
        cosines[unknown[part]] = np.einsum("pd,pd->p", one, two)
    weights = np.exp(-squared_distances(cosines) / found.largest[of[row]])
    weights /= np.bincount(row, weights=weights)[row]
    starts = np.searchsorted(row, np.arange(len(of) + 1))
    return Sparse(starts, column, weights.astype(np.float32))


def _known(found: KNearest, of: Ids, keys: Ids) -> Vectors:
    """The cosines at ascending places in a table of M rows and N + 1 columns; NaN where they are
    not among a row's nearest."""
    wanted = np.arange(len(of))[:, None] * (len(found.nearest) + 1) + found.nearest[of]
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    there = keys[place] == wanted
    cosines = np.full(len(keys), np.nan, dtype=np.float32)
    cosines[place[there]] = found.cosines[of][there]
    return cosines


def _mean(encoded: Sparse, of: Ids, *, width: int) -> Sparse:
    """Rows that are means of the rows ``of`` (M x K2)."""
    count, k = of.shape
    positions, counts = encoded.take(of.reshape(-1))
    rows = np.repeat(np.repeat(np.arange(count), k), counts)
    return Sparse.from_pairs(
        rows, encoded.columns[positions], encoded.values[positions] / k, shape=(count, width)
    )


def _overlap(encoded: Sparse, inverse: Sparse, row: int) -> NDArray[np.float32]:
    """The sum over columns of the smaller of a row's and another's value, for every row."""
    own = slice(encoded.starts[row], encoded.starts[row + 1])
    positions, counts = inverse.take(encoded.columns[own])
    others, theirs = inverse.columns[positions], inverse.values[positions]
    smaller = np.minimum(np.repeat(encoded.values[own], counts), theirs)
    sums = np.bincount(others, smaller, minlength=len(encoded.starts) - 1)
    return sums.astype(np.float32)
