"""Transit times: what the time between two sightings says about their being the same person.

For every pair of cameras, the signed time between sightings has one distribution for the same
person and another for different people. The logarithm of their ratio is evidence that appearance
alone does not have, and adds to the cosine, weighted. It is learned from known identities, or from
pairs of images that are each other's nearest across cameras.
"""

import functools
import itertools
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import UsageError
from reidsearch.ranking.arrays import from_npz, groups, ranges, to_npz
from reidsearch.ranking.clock import FRAMES, Clock, Times
from reidsearch.ranking.pairs import Pairs
from reidsearch.types import Ids

Bins = NDArray[np.int64]
Counts = NDArray[np.float64]
Ratios = NDArray[np.float32]

CLIP = 6.0  # the largest ratio, as a natural logarithm
# What a ratio weighs: beside the cosine, times the standard deviation of strangers' cosines, which
# differs from encoder to encoder; beside re-ranked scores, as it is. Both are the best for people
# held out from training (benchmarks/transit.py).
WEIGHT, RERANKED_WEIGHT = 0.56, 0.07


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """How ratios are learned.

    Times count in bins, of so many ``frames`` or ``seconds``: 100 frames are 4 s at Market-1501's
    25 frames a second. Distributions are smoothed with a Gaussian whose standard deviation is
    ``smoothing`` bins and that reaches ``reach`` bins to either side. A camera pair's own data
    weighs as much as the prior at ``prior_pairs`` pairs. What is more than ``farthest`` bins apart,
    28 hours, counts as that far. ``enough`` pairs of sightings tell how far apart strangers' are.
    """

    frames: float = 100.0
    seconds: float = 4.0
    smoothing: float = 3.0
    reach: int = 12
    prior_pairs: float = 50.0
    farthest: int = 25_000
    enough: int = 1 << 20

    def bin(self, unit: str) -> float:
        """How long a bin is, in that unit of a clock."""
        return self.frames if unit == FRAMES else self.seconds

    @property
    def kernel(self) -> Counts:
        """The Gaussian, from ``-reach`` to ``reach``."""
        kernel = np.exp(-0.5 * (np.arange(-self.reach, self.reach + 1) / self.smoothing) ** 2)
        return np.asarray(kernel / kernel.sum())


LEARNING = Learning()


class CameraPair(NamedTuple):
    """What a pair of cameras (a, b), a < b, adds to the prior: log-likelihood ``ratios`` where its
    own pairs of one person lie, at the differences ``bins``, time at b less time at a, ascending.
    Elsewhere the prior counts with its ``share`` there, which is all that is left to it."""

    bins: Bins
    ratios: Ratios
    share: float


@dataclass(frozen=True)
class Transit:
    """Log-likelihood ratios by camera pair and by the time between two sightings.

    ``prior`` has the likelihood ratio for each number of bins apart, whatever the cameras and the
    sign; ``own`` what single pairs of cameras add. Beyond the prior's end its last value holds. A
    bin is ``bin`` of the clock's units long.
    """

    clock: Clock
    prior: Ratios
    own: dict[tuple[int, int], CameraPair]
    pairs: int  # of the same person, that it was learned from
    bin: float

    @classmethod
    def nothing(cls) -> Self:
        """What is known where no sighting has a time: all ratios are 0."""
        even = np.ones(1, dtype=np.float32)
        return cls(Clock(FRAMES, {}), even, {}, pairs=0, bin=LEARNING.bin(FRAMES))

    def ratios(self, probe_camera: Ids, probe_times: Times, camera: Ids, times: Times) -> Ratios:
        """Q x G log-likelihood ratios, natural, within CLIP of 0.

        0, which speaks neither for nor against, within a camera and where a time is not known.
        """
        mine, theirs = (np.floor(t / self.bin) for t in (probe_times, times))
        out = np.zeros((len(mine), len(theirs)), dtype=np.float32)
        gallery = _by_camera(camera, theirs)
        for here, rows in _by_camera(probe_camera, mine).items():
            for there, columns in gallery.items():
                if here != there:
                    later = (theirs[columns][None, :] - mine[rows][:, None]).astype(np.int64)
                    out[np.ix_(rows, columns)] = self._look_up(here, there, later)
        return out

    def of_pairs(self, camera_a: Ids, times_a: Times, camera_b: Ids, times_b: Times) -> Ratios:
        """The same of P pairs of sightings: P."""
        a, b = (np.floor(t / self.bin) for t in (times_a, times_b))
        out = np.zeros(len(a), dtype=np.float32)
        known = np.flatnonzero(np.isfinite(a) & np.isfinite(b) & (camera_a != camera_b))
        cameras = np.stack([camera_a[known], camera_b[known]], axis=1)
        for (here, there), rows in _by_pair(cameras).items():
            later = (b[known[rows]] - a[known[rows]]).astype(np.int64)
            out[known[rows]] = self._look_up(here, there, later)
        return out

    def most(self, camera: Ids) -> Ratios:
        """The largest ratio that a sighting by each of N cameras has with any other: N."""
        known, others = self._most_by_camera, self._most_of_others
        return np.array([known.get(one, others) for one in camera.tolist()], dtype=np.float32)

    @functools.cached_property
    def _most_of_others(self) -> float:
        """Of cameras that nothing is known of: what the prior says. 0 is that of unknown times."""
        return max(float(_log(self.prior.max())), 0.0)

    @functools.cached_property
    def _most_by_camera(self) -> dict[int, float]:
        highest = self.prior.max()
        found: dict[int, float] = {}
        for pair, own in self.own.items():
            elsewhere = float(_log(highest * np.float32(own.share)))
            most = max(elsewhere, float(own.ratios.max(initial=-CLIP)))
            for one in pair:
                found[one] = max(found.get(one, self._most_of_others), most)
        return found

    def _look_up(self, here: int, there: int, later: Bins) -> Ratios:
        last = len(self.prior) - 1
        if later.size > 2 * last + 1:  # then it is quicker to have the ratio of every difference
            every = self._look_up(here, there, np.arange(-last, last + 1))
            return every[np.clip(later, -last, last) + last]
        prior = self.prior[np.minimum(np.abs(later), last)]
        own = self.own.get((min(here, there), max(here, there)))
        if own is None:
            return _log(prior)
        ratios = _log(prior * np.float32(own.share))
        signed = np.clip(later if here < there else -later, -last, last)
        place = np.minimum(np.searchsorted(own.bins, signed), len(own.bins) - 1)
        its_own = own.bins[place] == signed
        ratios[its_own] = own.ratios[place[its_own]]
        return ratios

    def to_bytes(self) -> bytes:
        """As an .npz archive."""
        pairs = sorted(self.own)
        own = [self.own[pair] for pair in pairs]
        starts = [(*key, value) for key, value in sorted(self.clock.starts.items())]
        return to_npz(
            unit=np.array(self.clock.unit),
            starts=np.array(starts, dtype=np.int64).reshape(-1, 3),
            prior=self.prior,
            cameras=np.array(pairs, dtype=np.int64).reshape(-1, 2),
            shares=np.array([one.share for one in own]),
            lengths=np.array([len(one.bins) for one in own], dtype=np.int64),
            bins=np.concatenate([np.empty(0, np.int64), *(one.bins for one in own)]),
            ratios=np.concatenate([np.empty(0, np.float32), *(one.ratios for one in own)]),
            pairs=np.array(self.pairs),
            bin=np.array(self.bin),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of ``to_bytes``."""
        saved = from_npz(data)
        ends = np.cumsum(saved["lengths"])[:-1]
        bins, ratios = (np.split(saved[name], ends) for name in ("bins", "ratios"))
        own = map(CameraPair, bins, ratios, saved["shares"].tolist())
        cameras = [(a, b) for a, b in saved["cameras"].tolist()]
        starts = {(camera, part): before for camera, part, before in saved["starts"].tolist()}
        clock = Clock(str(saved["unit"]), starts)
        return cls(
            clock=clock,
            prior=saved["prior"],
            own=dict(zip(cameras, own, strict=False)),  # without cameras np.split gives one
            pairs=int(saved["pairs"]),
            # Earlier archives do not tell, because all had the same.
            bin=float(saved["bin"]) if "bin" in saved else LEARNING.bin(clock.unit),
        )


def learn(
    clock: Clock, camera: Ids, times: Times, same: Pairs, *, how: Learning = LEARNING
) -> Transit:
    """The ratios of N sightings, of which the pairs ``same`` show the same person.

    Different people are all pairs of sightings from two cameras: those of one person are few among
    them. Both distributions are smoothed. A pair of cameras with little data leans on what all of
    them together say of the number of bins apart. Raises UsageError where no pair is from two
    cameras at known times.
    """
    bin = how.bin(clock.unit)
    bins = np.floor(times / bin)
    usable = np.isfinite(bins[same]).all(axis=1) & (camera[same[:, 0]] != camera[same[:, 1]])
    same = same[usable]
    if not len(same):
        raise UsageError(
            "there is no pair of images of one person from two cameras at known times",
            hint="Ingest more images, or images with identities.",
        )
    swap = camera[same[:, 0]] > camera[same[:, 1]]
    same = np.where(swap[:, None], same[:, ::-1], same)
    later = (bins[same[:, 1]] - bins[same[:, 0]]).astype(np.int64)
    seen = {
        one: np.sort(bins[rows]).astype(np.int64) for one, rows in _by_camera(camera, bins).items()
    }

    different = np.zeros(2 * how.farthest + 1)
    for a, b in itertools.combinations(seen, 2):
        different += _differences(seen[a], seen[b], how)
    prior = _prior(_counts(later, how.farthest), different, how)
    every = np.pad(prior, (0, how.farthest + 1 - len(prior)), mode="edge")
    every = np.concatenate([every[:0:-1], every])  # from -farthest on
    spread = np.convolve(every, how.kernel, mode="same")
    own = {}
    for (a, b), rows in _by_pair(camera[same]).items():
        own[a, b] = _camera_pair(
            later[rows], _differences(seen[a], seen[b], how), every, spread, how
        )
    return Transit(clock, prior.astype(np.float32), own, len(same), bin)


def _camera_pair(
    later: Bins, different: Counts, prior: Counts, spread: Counts, how: Learning
) -> CameraPair:
    """What a pair of cameras adds, from the differences of its pairs of one person, how often each
    occurs between any two sightings, and the prior of each, as it is and smoothed."""
    p_different = different / different.sum()
    # The prior's ratio makes a distribution of the pair's strangers, once scaled.
    share = how.prior_pairs / (how.prior_pairs + len(later)) / float(p_different @ spread)
    p_same = _counts(later, how.farthest) / (how.prior_pairs + len(later))
    there = np.flatnonzero(p_same) - how.farthest
    bins = np.unique(there[:, None] + np.arange(-how.reach, how.reach + 1))
    bins = bins[np.abs(bins) <= how.farthest]
    ratio = share * prior[bins + how.farthest]
    near, strangers = (_smooth(p, bins, how) for p in (p_same, p_different))
    occur = strangers > 0  # a sample of them may lack some
    ratio[occur] += near[occur] / strangers[occur]
    return CameraPair(bins, _log(ratio), share)


def _prior(together: Counts, different: Counts, how: Learning) -> Counts:
    """The likelihood ratio by number of bins apart, to the last that occurs, from how often each
    difference from -farthest on does."""
    apart = []
    for counts in (together, different):
        smooth = np.convolve(counts, how.kernel, mode="same")
        folded = smooth[how.farthest :].copy()
        folded[1:] += smooth[how.farthest - 1 :: -1]
        apart.append(folded / folded.sum())
    last = int(np.flatnonzero(apart[1])[-1])
    p_together, p_different = (p[: last + 1] for p in apart)
    # Where nobody was that far apart, nothing is known.
    prior = np.ones(last + 1)
    np.divide(p_together, p_different, out=prior, where=p_different > 0)
    return prior


def _smooth(counts: Counts, differences: Bins, how: Learning) -> Counts:
    """What a convolution with the Gaussian makes of ``counts`` at these differences."""
    kernel = how.kernel
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(counts, how.reach), len(kernel))
    around: Counts = windows[differences + how.farthest] @ kernel
    return around


def _log(ratio: NDArray[np.floating] | np.floating) -> Ratios:
    floor = np.exp(-CLIP)  # the share of pairs that follow no rule about transit times
    clipped: Ratios = np.minimum(np.log((1 - floor) * ratio + floor), CLIP).astype(np.float32)
    return clipped


def _by_camera(camera: Ids, bins: Times) -> dict[int, Ids]:
    """The positions of each camera's sightings of known time; cameras ascend."""
    known = np.flatnonzero(np.isfinite(bins))
    return {one: known[rows] for one, rows in groups(camera[known]).items()}


def _by_pair(cameras: NDArray[np.int64]) -> dict[tuple[int, int], Ids]:
    """The positions of each pair of cameras among P x 2."""
    pairs, which = np.unique(cameras, axis=0, return_inverse=True)
    positions = groups(which.reshape(-1))
    return {(a, b): positions[at] for at, (a, b) in enumerate(pairs.tolist())}


def _differences(a: Bins, b: Bins, how: Learning) -> Counts:
    """How often b - a takes each value from -farthest to farthest, those beyond added to these.

    Both ascend. Of many pairs in a long time some of ``a`` stand for all.
    """
    farthest, enough = how.farthest, how.enough
    span = max(a[-1], b[-1]) - min(a[0], b[0])
    if len(a) * len(b) > enough and span <= 4 * farthest:
        return _correlated(a, b, farthest)
    first = np.searchsorted(b, a - farthest)
    counts = np.searchsorted(b, a + farthest, side="right") - first
    total, rows = counts.sum(), np.arange(len(a))
    if total > enough:
        rows = np.random.default_rng(0).permutation(rows)[: 1 + len(a) * enough // total]
    some = counts[rows]
    later = b[ranges(first[rows], some)] - np.repeat(a[rows], some)
    found = _counts(later, farthest)
    found *= total / max(some.sum(), 1)
    found[0] += first.sum()
    found[-1] += (len(b) - first - counts).sum()
    return found


def _correlated(a: Bins, b: Bins, farthest: int) -> Counts:
    """The same by Fourier transform, as the correlation of two histograms."""
    count_a, count_b = (np.bincount(x - x[0]).astype(np.float64) for x in (a, b))
    size = len(count_a) + len(count_b) - 1
    spectrum = np.fft.rfft(count_b, size) * np.fft.rfft(count_a[::-1], size)
    counts = np.maximum(np.round(np.fft.irfft(spectrum, size)), 0)
    return _counts(np.arange(size) + b[0] - a[-1], farthest, counts)


def _counts(differences: Bins, farthest: int, weights: Counts | None = None) -> Counts:
    """How often each difference from -farthest to farthest occurs, those beyond added to these."""
    place = np.clip(differences, -farthest, farthest) + farthest
    return np.bincount(place, weights, minlength=2 * farthest + 1).astype(np.float64)
