"""A linear layer over an encoder's vectors, fitted to groups of crops: no gradient, seconds.

Fisher's discriminant (Fisher, "The Use of Multiple Measurements in Taxonomic Problems", 1936): the
vectors are first whitened, so that what changes from crop to crop of one person counts as much in
every direction, and then keep the directions in which people differ most. What a camera adds to all
its crops counts as change within a person, many times: so it is all but gone from the result,
without being told which camera a crop is from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.arrays import groups
from reidsearch.types import Ids, Vectors
from train.groups import unit
from train.recipe import Adaptation


@dataclass(frozen=True)
class Projection:
    """Vectors (N x D) less the ``mean`` (D), times the ``matrix`` (D x K)."""

    mean: Vectors
    matrix: Vectors

    def __call__(self, vectors: Vectors) -> Vectors:
        """N x D -> N x K, of unit length."""
        return unit((vectors - self.mean) @ self.matrix)


def fit(
    vectors: Vectors, without_camera: Vectors, camera: Ids, group: Ids, plan: Adaptation
) -> Projection:
    """Fit at most ``plan.dimension`` directions to the groups (N, from 0) of N crops: their
    ``vectors`` and these ``without_camera`` (N x D both), and the ``camera`` of each (N)."""
    size = vectors.shape[1]
    sizes = np.bincount(group)
    centres = np.zeros((len(sizes), size))
    np.add.at(centres, group, without_camera)
    centres /= sizes[:, None]
    rows = sizes[group] > 1
    within = _scatter(without_camera[rows] - centres[group[rows]])
    even = max(float(np.trace(within)) / size, 1e-12) * np.eye(size)
    within = (1 - plan.shrunk) * within + plan.shrunk * even
    mean = vectors.mean(0, dtype=np.float64)
    for own in groups(camera).values():
        offset = vectors[own].mean(0, dtype=np.float64) - mean
        within += plan.cameras * len(own) / len(vectors) * np.outer(offset, offset)
    spread, directions = np.linalg.eigh(within)
    white = directions / np.sqrt(spread)
    _, apart = np.linalg.eigh(_scatter((centres - centres.mean(0)) @ white))
    matrix = white @ apart[:, ::-1][:, : plan.dimension]
    return Projection(mean.astype(np.float32), matrix.astype(np.float32))


def _scatter(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    scatter: NDArray[np.float64] = vectors.T @ vectors / len(vectors)
    return scatter
