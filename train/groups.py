"""People among crops that nobody labelled: tracks within each camera, linked across cameras.

Crops of one person at one camera are told from others with ease: density clustering (DBSCAN: Ester
et al., KDD 1996) on k-reciprocal distances finds most of them, as a *track*. The mean of a track is
steadier than a single crop, and tracks of two cameras that are each other's nearest are *linked*,
the surest first. Nearest counts cosines less how near each of the two is to its neighbours at the
other camera anyway (CSLS: Conneau et al., "Word Translation Without Parallel Data", ICLR 2018), or
one track in the middle of all would be everybody's nearest. Where times are known, those that it
takes from camera to camera are learned from the links and count as well.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.cluster import DBSCAN

from reidsearch.errors import UsageError
from reidsearch.ranking import transit
from reidsearch.ranking.arrays import groups
from reidsearch.ranking.clock import Clock, Times
from reidsearch.ranking.rerank import jaccard
from reidsearch.ranking.transit import Transit
from reidsearch.types import Ids, Vectors
from train.recipe import Adaptation

Links = NDArray[np.int64]  # L x 2, positions of tracks

LEAST = 1e-6  # as long as a vector has to be to point anywhere


@dataclass(frozen=True)
class Seen:
    """Where N crops were seen, and when: their ``camera`` (one of its own for those not known) and
    ``times`` (NaN where not known) by that ``clock``, which is None where no time is known."""

    camera: Ids
    times: Times
    clock: Clock | None


@dataclass(frozen=True)
class Groups:
    """Of N crops the ``track`` each belongs to (N, from 0), and of T tracks the ``person`` (T, from
    0)."""

    track: Ids
    person: Ids

    @property
    def group(self) -> Ids:
        """The person of each crop, N."""
        return self.person[self.track]


def tracks(vectors: Vectors, camera: Ids, plan: Adaptation) -> Ids:
    """The track of each of N crops (N x D, of unit length), from 0: crops of one camera that look
    like one person. A crop that is like no other is a track by itself."""
    track = np.empty(len(vectors), dtype=np.int64)
    count = 0
    cluster = DBSCAN(eps=plan.within, min_samples=2, metric="precomputed")
    for rows in groups(camera).values():
        # One crop by itself has no neighbours to describe it.
        found = cluster.fit_predict(_near(vectors[rows], plan)) if len(rows) > 1 else np.array([-1])
        alone = found < 0
        found[alone] = found.max() + 1 + np.arange(alone.sum())
        track[rows] = found + count
        count += int(found.max()) + 1
    return track


def links(vectors: Vectors, track: Ids, seen: Seen, plan: Adaptation) -> Links:
    """The pairs of tracks of two cameras that are each other's nearest, the surest first.

    ``vectors`` are N x D, of unit length, with what the cameras add taken out.
    """
    means = centres(vectors, track)
    _, first = np.unique(track, return_index=True)
    camera = seen.camera[first]
    times = _middle(seen.times, track)
    found, scores = _nearest(means, camera, times, Transit.nothing(), plan.near)
    if seen.clock is not None:
        try:
            learned = transit.learn(seen.clock, camera, times, found)
        except UsageError:  # no two linked tracks have times
            learned = Transit.nothing()
        found, scores = _nearest(means, camera, times, learned, plan.near)
    return found[np.argsort(-scores, kind="stable")]


def linked(track: Ids, camera: Ids, pairs: Links) -> Groups:
    """The tracks of ``pairs`` become one person's, the first ones first, unless somebody would be
    at one camera in two tracks."""
    _, first = np.unique(track, return_index=True)
    cameras = [{one} for one in camera[first].tolist()]
    members = [[at] for at in range(len(first))]
    person = list(range(len(first)))
    for a, b in pairs.tolist():
        one, two = person[a], person[b]
        if not cameras[one] & cameras[two]:
            for at in members[two]:
                person[at] = one
            members[one] += members[two]
            cameras[one] |= cameras[two]
    return Groups(track, np.unique(person, return_inverse=True)[1])


def centres(vectors: Vectors, track: Ids) -> Vectors:
    """The direction of the mean of each track's crops, T x D."""
    sums = np.zeros((int(track.max()) + 1, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, track, vectors)
    return unit(sums)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """The vectors (N x D) at unit length; one without a direction stays without."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, LEAST), dtype=np.float32)


def _near(vectors: Vectors, plan: Adaptation) -> csr_array:
    """The k-reciprocal distances of N crops where they are so small that they count, N x N."""
    columns, values, starts = [], [], [0]
    for distances in jaccard(vectors, k1=plan.k1, k2=plan.k2):
        near = np.flatnonzero(distances <= plan.within)
        columns.append(near)
        values.append(np.maximum(distances[near], 0))
        starts.append(starts[-1] + len(near))
    shape = (len(vectors), len(vectors))
    return csr_array((np.concatenate(values), np.concatenate(columns), starts), shape=shape)


def _nearest(
    means: Vectors, camera: Ids, times: Times, learned: Transit, near: int
) -> tuple[Links, Vectors]:
    """The pairs of tracks of two cameras that are each other's nearest, and their scores, L."""
    found, scores = [np.empty((0, 2), dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for rows, columns in itertools.combinations(groups(camera).values(), 2):
        score = means[rows] @ means[columns].T
        if learned.pairs:
            ratios = learned.ratios(camera[rows], times[rows], camera[columns], times[columns])
            score += transit.WEIGHT * float(score.std()) * ratios
        score = 2 * score - _crowd(score, near)[:, None] - _crowd(score.T, near)
        forth, back = score.argmax(1), score.argmax(0)
        mutual = np.flatnonzero(back[forth] == np.arange(len(rows)))
        found.append(np.stack([rows[mutual], columns[forth[mutual]]], axis=1))
        scores.append(score[mutual, forth[mutual]])
    return np.concatenate(found), np.concatenate(scores)


def _crowd(score: Vectors, near: int) -> Vectors:
    """The mean of the ``near`` greatest of each row (R x C): R."""
    near = min(near, score.shape[1])
    mean: Vectors = np.partition(score, -near, axis=1)[:, -near:].mean(1)
    return mean


def _middle(times: Times, track: Ids) -> Times:
    """The median of the known times of each track's crops, T; NaN where there are none."""
    out = np.full(int(track.max()) + 1, np.nan)
    for one, rows in groups(track).items():
        known = times[rows][np.isfinite(times[rows])]
        if len(known):
            out[one] = np.median(known)
    return out
