"""What a score says: how often two images of the same person, and of two people, reach it.

Some probes are like everybody: dark clothes, a bicycle, a blurred crop. A threshold that is right
on the whole lets too many strangers through for these, and too few right images for others. So it
is also told how far scores stand out of a probe's own crowd, those that come after its best ones
(Auckenthaler, Carey and Lloyd-Thomas, "Score normalization for text-independent speaker
verification systems", Digital Signal Processing 10, 2000, normalise with strangers likewise).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.arrays import from_npz, to_npz

LOWEST, HIGHEST, WIDTH = -2.0, 2.0, 0.001  # of the bins; a cosine with transit times may pass 1
BINS = round((HIGHEST - LOWEST) / WIDTH)
RATES = (1e-2, 1e-3, 1e-4, 1e-5)  # of false matches, that thresholds are told for
FEWEST = 10  # pairs beyond a threshold, to be told
# A probe's crowd: these ranks among all scores, 0-based, in a gallery of at least so many images.
# Chosen on people held out from training (train/RESULTS.md).
CROWD, CROWD_FROM = slice(50, 200), 1000
UNUSUAL = 3.0  # standard deviations from the median crowd on, that are no crowd any more

Counts = NDArray[np.int64]  # BINS


@dataclass(frozen=True)
class Above:
    """Thresholds for one probe, ``crowd`` above those by which ``beyond`` pairs of different people
    stand out."""

    beyond: Counts
    crowd: float

    def threshold(self, rate: float) -> float | None:
        """As ``ScoreDistribution.threshold``."""
        least = _threshold(self.beyond, rate)
        return None if least is None else round(self.crowd + least, 3)


@dataclass(frozen=True)
class Crowds:
    """How many pairs of different people stand so far ``beyond`` a probe's crowd, and the
    ``highest`` crowd there is: what lies above it is one person, seen hundreds of times."""

    beyond: Counts
    highest: float

    @classmethod
    def of(cls, beyond: Counts, crowds: NDArray[Any]) -> Self:
        """From those of several probes (N)."""
        middle = float(np.median(crowds))
        # 1.4826 makes a standard deviation of a median one.
        spread = 1.4826 * float(np.median(np.abs(crowds - middle)))
        return cls(beyond, middle + UNUSUAL * spread)

    def thresholds(self, best: Sequence[float]) -> Above | None:
        """For a probe with these best scores, descending; None where they are too few for a
        crowd."""
        if len(best) < CROWD.stop:
            return None
        return Above(self.beyond, min(float(np.mean(best[CROWD])), self.highest))


def crowds(scores: NDArray[Any]) -> NDArray[Any]:
    """The mean of the scores in each of B probes' crowds, from all of theirs, B x N: B."""
    ends = [scores.shape[1] - CROWD.stop, scores.shape[1] - CROWD.start]
    part = np.partition(scores, ends, axis=1)[:, slice(*ends)]
    mean: NDArray[Any] = part.mean(axis=1)
    return mean


@dataclass(frozen=True)
class ScoreDistribution:
    """How many pairs of images of the ``same`` person and of ``different`` people have each score.

    Where identities are not known, ``different`` counts the pairs that are hardly of one person by
    the time between them (``by_times``), or else all pairs. The latter makes thresholds stricter
    than asked for: some of the highest scores are those of the same person. ``crowds`` are known
    where the gallery was large enough.
    """

    same: Counts
    different: Counts
    by_times: bool = False
    crowds: Crowds | None = None

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
            same += counted(scores[is_same])
            different += counted(scores[is_different])
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
        return _threshold(self.different, rate)

    @property
    def thresholds(self) -> dict[float, float | None]:
        """That score for each of RATES."""
        return {rate: self.threshold(rate) for rate in RATES}

    def match_rate(self, threshold: float) -> float | None:
        """The share of the pairs of the same person that reach a score; None where there are
        none."""
        total = int(self.same.sum())
        first = round((threshold - LOWEST) / WIDTH)
        return float(self.same[first:].sum() / total) if total else None

    def to_bytes(self) -> bytes:
        """As an .npz archive."""
        own = {"same": self.same, "different": self.different, "by_times": np.array(self.by_times)}
        if self.crowds is not None:
            own |= {"beyond": self.crowds.beyond, "highest": np.array(self.crowds.highest)}
        return to_npz(**own)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of ``to_bytes``."""
        saved = from_npz(data)
        # Earlier archives do not tell, because none was.
        by_times = bool(saved.get("by_times", False))
        crowds = Crowds(saved["beyond"], float(saved["highest"])) if "beyond" in saved else None
        return cls(saved["same"], saved["different"], by_times, crowds)


def counted(scores: NDArray[Any]) -> Counts:
    """How many of N scores are in each bin; those beyond the bins count at their ends."""
    place = ((scores - LOWEST) * (1 / WIDTH)).astype(np.int32)
    np.clip(place, 0, BINS - 1, out=place)
    return np.bincount(place, minlength=BINS)


def _threshold(counts: Counts, rate: float) -> float | None:
    """The least score, to WIDTH, that at most this share of the counts lies beyond; None where
    fewer than FEWEST would tell."""
    total = int(counts.sum())
    if rate * total < FEWEST:
        return None
    beyond = np.append(np.cumsum(counts[::-1])[::-1], 0)
    return round(LOWEST + WIDTH * int(np.argmax(beyond <= rate * total)), 3)
