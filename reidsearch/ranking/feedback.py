"""Relevance feedback: several pictures of one person, and pictures of somebody else.

Further pictures of the person are pooled with the first. A picture of somebody else takes from the
score of each gallery image that looks more like it than like the person:

    score(x) - WEIGHT * max(0, cos(x, other) - cos(x, person)), of several others the largest

Whoever is nearer to the person keeps the score, so that a threshold means the same. Rocchio (1971)
takes a share of the other's vector from the person's instead; that takes with it what the two have
in common, and on people held out from training it gained less: see
``benchmarks/feedback.py``, where WEIGHT was chosen, too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import UsageError
from reidsearch.types import Vectors

WEIGHT = 0.35
LEAST = 1e-6  # as long as a mean has to be to point anywhere


def pooled(vectors: Vectors) -> Vectors:
    """The mean of N vectors (N x D), of unit length (D). Raises UsageError where they cancel each
    other out."""
    mean: Vectors = vectors.mean(axis=0)
    length = np.linalg.norm(mean)
    if length < LEAST:
        raise UsageError("these pictures have nothing in common: their vectors cancel out")
    return mean / length


@dataclass(frozen=True, slots=True)
class Unlike:
    """The vectors of N pictures of ``others`` (N x D) beside that of the ``person`` who is searched
    for (D)."""

    others: Vectors
    person: Vectors

    def penalty(self, gallery: Vectors, *, weight: float = WEIGHT) -> NDArray[np.float32]:
        """What each of G gallery images (G x D) loses of its score (G), 0 or more."""
        closer: Vectors = (gallery @ self.others.T).max(axis=1) - gallery @ self.person
        return np.float32(weight) * np.maximum(closer, 0)
