"""What a score says: how often two images of the same person, and of two people, reach it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.arrays import from_npz, to_npz

LOWEST, HIGHEST, WIDTH = -2.0, 2.0, 0.001  # of the bins; a cosine with transit times may pass 1
BINS = round((HIGHEST - LOWEST) / WIDTH)
RATES = (1e-2, 1e-3, 1e-4, 1e-5)  # of false matches, that thresholds are told for
FEWEST = 10  # pairs beyond a threshold, to be told

Counts = NDArray[np.int64]  # BINS


@dataclass(frozen=True)
class ScoreDistribution:
    """How many pairs of images of the ``same`` person and of ``different`` people have each score.

    Where identities are not known, ``different`` counts the pairs that are hardly of one person by
    the time between them (``by_times``), or else all pairs. The latter makes thresholds stricter
    than asked for: some of the highest scores are those of the same person.
    """

    same: Counts
    different: Counts
    by_times: bool = False

    @classmethod
    def of(
        cls,
        pairs: Iterable[tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]],
        *,
        by_times: bool = False,
    ) -> Self:
        """From blocks of scores, with which of them are of the same person and which of others."""
        same, different = np.zeros((2, BINS), dtype=np.int64)
        for scores, is_same, is_different in pairs:
            place = ((scores - LOWEST) * (1 / WIDTH)).astype(np.int32)
            np.clip(place, 0, BINS - 1, out=place)
            same += np.bincount(place[is_same], minlength=BINS)
            different += np.bincount(place[is_different], minlength=BINS)
        return cls(same, different, by_times)

    def __add__(self, other: Self) -> Self:
        """The pairs of both."""
        return type(self)(
            self.same + other.same,
            self.different + other.different,
            self.by_times and other.by_times,
        )

    @property
    def spread(self) -> float:
        """The standard deviation of the scores of different people."""
        centres = LOWEST + WIDTH * (np.arange(BINS) + 0.5)
        mean = np.average(centres, weights=self.different)
        return float(np.sqrt(np.average((centres - mean) ** 2, weights=self.different)))

    def threshold(self, rate: float) -> float | None:
        """The least score, to WIDTH, that at most this share of the pairs of different people
        reach; None where fewer than FEWEST pairs would tell."""
        total = int(self.different.sum())
        if rate * total < FEWEST:
            return None
        beyond = np.append(np.cumsum(self.different[::-1])[::-1], 0)
        return round(LOWEST + WIDTH * int(np.argmax(beyond <= rate * total)), 3)

    def match_rate(self, threshold: float) -> float | None:
        """The share of the pairs of the same person that reach a score; None where there are
        none."""
        total = int(self.same.sum())
        first = round((threshold - LOWEST) / WIDTH)
        return float(self.same[first:].sum() / total) if total else None

    def to_bytes(self) -> bytes:
        """As an .npz archive."""
        return to_npz(same=self.same, different=self.different, by_times=np.array(self.by_times))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of ``to_bytes``."""
        saved = from_npz(data)
        # Earlier archives do not tell, because none was.
        return cls(saved["same"], saved["different"], bool(saved.get("by_times", False)))
