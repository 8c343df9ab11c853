"""Pairs of images from two cameras that show, or probably show, one person."""

import itertools

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.arrays import groups
from reidsearch.ranking.cells import Division
from reidsearch.types import Ids, Vectors

Pairs = NDArray[np.int64]  # P x 2, positions of images

BLOCK = 512  # images whose cosines to all others are held at once
NEAREST = 1 << 25  # of images by camera, that are held at most: 268 MB
COSINES = 1 << 25


def known_pairs(identity: Ids, camera: Ids) -> Pairs:
    """All pairs of images of one known person from two cameras."""
    found = []
    for person, images in groups(identity).items():
        if len(images) > 1 and person > 0:
            pairs = images[np.stack(np.triu_indices(len(images), 1), axis=1)]
            found.append(pairs[camera[pairs[:, 0]] != camera[pairs[:, 1]]])
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *found])


def mutual_pairs(vectors: Vectors, camera: Ids, *, at_once: int = BLOCK) -> Pairs:
    """For every two cameras, the pairs of their images that are each other's nearest by cosine. The
    cosines of so many images ``at_once`` are held.

    Some show two people. Their times differ as those of strangers do, which only flattens what is
    learned from them.
    """
    found = []
    for rows, columns in itertools.combinations(groups(camera).values(), 2):
        forth, back = _nearest(vectors[rows], vectors[columns], at_once)
        mutual = back[forth] == np.arange(len(rows))
        found.append(np.stack([rows[mutual], columns[forth[mutual]]], axis=1))
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *found])


def mutual_pairs_in_cells(vectors: Vectors, camera: Ids, division: Division) -> Pairs:
    """The same of N images that a ``division`` into cells brings together: each looks for its
    nearest at another camera in its cells alone. Of very many, images times cameras more than
    NEAREST, the first ones take part, which are as good as drawn."""
    cameras, at = np.unique(camera, return_inverse=True)
    size = min(len(vectors), NEAREST // len(cameras))
    best = np.full((size, len(cameras)), -np.inf, dtype=np.float32)
    nearest = np.zeros((size, len(cameras)), dtype=np.int32)
    homes = division.homes
    for cell, lookers in division.lookers(np.arange(size)).items():
        members = homes.get(cell, lookers[:0])
        members = members[members < size]
        seen = groups(at[members])
        step = max(1, COSINES // max(len(members), 1))
        for start in range(0, len(lookers), step):
            rows = lookers[start : start + step]
            cosines = vectors[rows] @ vectors[members].T
            for there, columns in seen.items():
                some = cosines[:, columns]
                first = some.argmax(axis=1)
                value = some[np.arange(len(rows)), first]
                better = np.flatnonzero(value > best[rows, there])
                best[rows[better], there] = value[better]
                nearest[rows[better], there] = members[columns[first[better]]]
    found = []
    for here in range(len(cameras)):
        mine = np.flatnonzero(at[:size] == here)
        for there in range(here + 1, len(cameras)):
            theirs = nearest[mine, there]
            mutual = (best[mine, there] > -np.inf) & (nearest[theirs, here] == mine)
            mutual &= best[theirs, here] > -np.inf
            found.append(np.stack([mine[mutual], theirs[mutual].astype(np.int64)], axis=1))
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *found])


def _nearest(a: Vectors, b: Vectors, at_once: int) -> tuple[Ids, Ids]:
    """The position in ``b`` of the nearest to each of ``a``, and the other way round."""
    forth = np.empty(len(a), dtype=np.int64)
    back, best = np.zeros(len(b), dtype=np.int64), np.full(len(b), -np.inf)
    for start in range(0, len(a), at_once):
        cosines = a[start : start + at_once] @ b.T
        forth[start : start + at_once] = cosines.argmax(axis=1)
        candidate = cosines.argmax(axis=0)
        score = cosines[candidate, np.arange(len(b))]
        better = score > best
        back[better], best[better] = candidate[better] + start, score[better]
    return forth, back
