"""Expansion: vectors that carry their nearest neighbours, so that a cosine sees further.

A stored vector becomes the direction of the sum of itself and its nearest neighbours, weighted by
their scores to the power alpha (database-side feature augmentation: Turcot and Lowe, ICCV Workshops
2009; Arandjelovic and Zisserman, CVPR 2012; the weights: Radenovic, Tolias and Chum, "Fine-tuning
CNN Image Retrieval with No Human Annotation", TPAMI 2018). A probe takes its nearest from other
cameras likewise. Where transit times are known, they choose the neighbours, too.

Lists do not depend on the order in which images came: candidates are found in single precision, and
ordered by scores that come out the same whatever was computed beside them. Candidates are all
images, or among too many those at home in the cells in which an image looks (``ranking/cells.py``),
which are the same whoever else is there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.arrays import ranges
from reidsearch.ranking.cells import Division
from reidsearch.ranking.knn import select
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.types import UNKNOWN, Ids, Vectors

NONE = -1  # in place of a neighbour, where there are fewer
SPARE = 4  # more candidates than neighbours, as single precision may order the last ones otherwise
BLOCK = 512  # images whose scores to all others are held at once
SCORES = 1 << 25  # and the most of these: 128 MB
PAIRS = 1 << 14  # pairs whose vectors are held at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How many neighbours a ``stored`` vector carries and a ``probe`` takes, and how fast their
    weight falls with the score: ``alpha``."""

    stored: int
    probe: int
    alpha: float


@dataclass(frozen=True)
class Neighbours:
    """Of some images the ``nearest`` others (R x K, positions, NONE where there are fewer) by
    (-score, position), and their ``scores`` (R x K, -inf there)."""

    nearest: Ids
    scores: Vectors

    def __getitem__(self, rows: Ids) -> "Neighbours":
        return Neighbours(self.nearest[rows], self.scores[rows])


@dataclass(frozen=True)
class Pool:
    """N images that may be each other's neighbours: their ``vectors`` (N x D, of unit length), the
    ``place`` of each (N), across which nobody is anybody's neighbour, and where and when they were
    ``seen``, for a ``ranking`` by times."""

    vectors: Vectors
    place: Ids
    seen: Sighted
    ranking: Ranking

    def __len__(self) -> int:
        return len(self.vectors)

    def scores(self, a: Ids, b: Ids) -> Vectors:
        """Of pairs of positions, P, in single precision. The same whatever other pairs there
        are."""
        cosines = np.empty(len(a), dtype=np.float32)
        for start in range(0, len(a), PAIRS):
            rows = slice(start, start + PAIRS)
            left, right = (self.vectors[of[rows]].astype(np.float64) for of in (a, b))
            cosines[rows] = np.minimum(np.einsum("pd,pd->p", left, right), 1)
        mine, theirs = (self.seen.at(of) for of in (a, b))
        return cosines + self.ranking.added_to_pairs(mine, theirs)

    def fill(self, vectors: Vectors, place: Ids, seen: Sighted, out: Vectors) -> None:
        """Write the scores of R images, given likewise, with all (R x N) as single precision
        computes them, -inf across places."""
        np.matmul(vectors, self.vectors.T, out=out)
        if self.ranking.calibration is not None:
            out += self.ranking.added(seen, self.seen)
        if np.any(place[:, None] != self.place):
            out[place[:, None] != self.place] = -np.inf

    def at(self, rows: Ids) -> "Pool":
        """The images at these positions alone."""
        seen = self.seen.at(rows)
        return Pool(self.vectors[rows], self.place[rows], seen, self.ranking)

    def between(self, rows: Ids, columns: Ids) -> Vectors:
        """The scores of the images at R positions with those at C (R x C), as ``fill`` gives them,
        and -inf of each with itself."""
        mine = self.at(rows)
        out = np.empty((len(rows), len(columns)), dtype=np.float32)
        self.at(columns).fill(mine.vectors, mine.place, mine.seen, out)
        out[rows[:, None] == columns] = -np.inf
        return out

    def fill_own(self, rows: Ids, out: Vectors) -> None:
        """The same of the images at these positions (R), and -inf of each with itself."""
        seen = self.seen.at(rows)
        self.fill(self.vectors[rows], self.place[rows], seen, out)
        out[np.arange(len(rows)), rows] = -np.inf


def nearest(
    pool: Pool, rows: Ids, *, k: int, division: Division | None = None, at_once: int = BLOCK
) -> Neighbours:
    """Of the images at these positions (R) the k nearest others of their place: of all, or of those
    that a ``division`` of the pool into cells brings together with them."""
    wanted = min(k + SPARE, len(pool))
    if not len(rows) or not wanted:
        return nobody(len(rows), k)
    if division is None:
        found = _among_all(pool, rows, k=wanted, at_once=at_once)
    else:
        found = _in_cells(pool, rows, division, k=wanted)
    row, column = np.nonzero(np.isfinite(found.scores))
    return _best(pool, len(rows), row, rows[row], found.nearest[row, column], k=k)


def _among_all(pool: Pool, rows: Ids, *, k: int, at_once: int) -> Neighbours:
    """The same in single precision."""

    def fill(part: slice, out: Vectors) -> Vectors:
        pool.fill_own(rows[part], out)
        return np.zeros(len(out), dtype=np.float32)  # how far the farthest is, nobody asks

    at_once = _bounded(at_once, len(pool))
    found = select(fill, count=len(rows), size=len(pool), k=k, at_once=at_once, most=np.inf)
    return Neighbours(found.nearest, found.cosines)


def _in_cells(pool: Pool, rows: Ids, division: Division, *, k: int) -> Neighbours:
    """The same of those in cells, one cell after the other."""
    so_far = nobody(len(rows), k)
    homes = division.homes
    for cell, lookers in division.lookers(rows).items():
        members = homes.get(cell)
        if members is None:
            continue
        step = _bounded(len(lookers), len(members))
        for start in range(0, len(lookers), step):
            mine = lookers[start : start + step]
            scores = pool.between(rows[mine], members)
            bars = so_far.scores[mine, -1]
            if len(members) > k:
                bars = np.maximum(bars, np.partition(scores, -k, axis=1)[:, -k])
            row, column = np.nonzero((scores >= bars[:, None]) & np.isfinite(scores))
            before = so_far[mine]
            there, nth = np.nonzero(before.nearest != NONE)
            found = first(
                len(mine),
                np.concatenate([there, row]),
                np.concatenate([before.nearest[there, nth], members[column]]),
                np.concatenate([before.scores[there, nth], scores[row, column]]),
                k=k,
            )
            so_far.nearest[mine], so_far.scores[mine] = found.nearest, found.scores
    return so_far


def _bounded(at_once: int, size: int) -> int:
    """So many rows of ``size`` scores, or fewer where these would be too many."""
    return max(1, min(at_once, SCORES // size))


def nearest_elsewhere(
    pool: Pool, probes: Vectors, place: Ids, seen: Sighted, *, k: int, at_once: int = BLOCK
) -> Neighbours:
    """Of Q probes, which are none of the pool's images, the k nearest of the pool from other
    cameras than theirs; from all where a probe's camera is not known."""

    def fill(part: slice, out: Vectors) -> Vectors:
        mine = seen.at(part)
        pool.fill(probes[part], place[part], mine, out)
        own = mine.camera[:, None] == pool.seen.camera
        out[own & (mine.camera != UNKNOWN)[:, None]] = -np.inf
        return np.zeros(len(out), dtype=np.float32)

    wanted = min(k, len(pool))
    if not len(probes) or not wanted:
        return nobody(len(probes), k)
    at_once = _bounded(at_once, len(pool))
    found = select(fill, count=len(probes), size=len(pool), k=wanted, at_once=at_once, most=np.inf)
    missing = k - wanted
    nearest = np.where(np.isfinite(found.cosines), found.nearest, NONE)
    return Neighbours(
        np.pad(nearest, ((0, 0), (0, missing)), constant_values=NONE),
        np.pad(found.cosines, ((0, 0), (0, missing)), constant_values=-np.inf),
    )


def carrying(own: Vectors, neighbours: Neighbours, vectors: Vectors, settings: Settings) -> Vectors:
    """The vectors ``own`` (R x D) with their neighbours among ``vectors`` in them (R x D, of unit
    length)."""
    weights = np.maximum(neighbours.scores, 0) ** np.float32(settings.alpha)
    out = own.astype(np.float64)
    for nth in range(weights.shape[1]):
        column = neighbours.nearest[:, nth]
        rows = np.flatnonzero(column != NONE)
        out[rows] += weights[rows, nth, None] * vectors[column[rows]]
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    made: Vectors = out.astype(np.float32)
    return made


def _best(
    pool: Pool, count: int, row: NDArray[np.intp], images: Ids, candidates: Ids, *, k: int
) -> Neighbours:
    """The k best candidates of each of ``count`` rows; candidate i is of ``row[i]``, for the image
    at the position ``images[i]``."""
    return first(count, row, candidates, pool.scores(images, candidates), k=k)


def first(
    count: int, row: NDArray[np.intp], candidates: Ids, scores: Vectors, *, k: int
) -> Neighbours:
    """The k best candidates of each of ``count`` rows, by these scores; candidate i is of
    ``row[i]``."""
    order = np.lexsort((candidates, -scores, row))
    row, candidates, scores = row[order], candidates[order], scores[order]
    counts = np.bincount(row, minlength=count)
    rank = ranges(np.zeros(count, dtype=np.int64), counts)
    among = rank < k
    found = nobody(count, k)
    found.nearest[row[among], rank[among]] = candidates[among]
    found.scores[row[among], rank[among]] = scores[among]
    return found


def nobody(count: int, k: int) -> Neighbours:
    """No neighbours, of so many images."""
    return Neighbours(np.full((count, k), NONE), np.full((count, k), -np.inf, dtype=np.float32))
