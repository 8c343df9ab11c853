"""Rough copies of vectors: a byte for each number, and how far off the whole is at most.

Each vector is rounded to 255 steps of a width of its own. Its cosine with a vector of unit length
then differs from that of its copy by no more than the length of what the copy lacks (the inequality
of Cauchy and Schwarz). So copies, a quarter of the size, tell for certain which vectors are too far
away to be looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.knn import ROUNDING
from reidsearch.types import Vectors

Codes = NDArray[np.int8]  # N x D
STEPS = 127  # on each side of 0


@dataclass(frozen=True)
class Rough:
    """Copies of N vectors: their ``codes`` (N x D) times the ``step`` of each (N). No cosine with
    one differs by more than its ``error`` (N)."""

    codes: Codes
    step: Vectors
    error: Vectors

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, vectors: Vectors) -> Self:
        """Of N vectors of unit length (N x D). Each comes out the same whatever others there
        are."""
        step = np.abs(vectors).max(axis=1, initial=0) / np.float32(STEPS)
        step = np.maximum(step, np.finfo(np.float32).tiny)
        codes = np.rint(vectors / step[:, None]).astype(np.int8)
        lacking = vectors - codes * step[:, None]
        error = np.linalg.norm(lacking, axis=1) + np.float32(ROUNDING)
        return cls(codes, step, error.astype(np.float32))

    @classmethod
    def joined(cls, some: Sequence["Rough"]) -> Self:
        """Copies of all of these vectors, one after the other."""
        return cls(
            np.concatenate([one.codes for one in some]),
            np.concatenate([one.step for one in some]),
            np.concatenate([one.error for one in some]),
        )

    def cosines(self, probes: Vectors) -> Vectors:
        """Those of Q vectors of unit length (Q x D) with all copies: Q x N."""
        found: Vectors = probes @ self.codes.astype(np.float32).T
        found *= self.step
        return found
