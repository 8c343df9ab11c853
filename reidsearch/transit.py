"""Transit times: what the time between two sightings says about their being the same person.

For every pair of cameras, the signed time between sightings has one distribution for the same
person and another for different people. The logarithm of their ratio is evidence that appearance
alone does not have, and adds to the cosine, weighted. It is learned from known identities, or from
pairs of images that are each other's nearest across cameras.
"""

import io
import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import UsageError
from reidsearch.types import UNKNOWN, Ids, Vectors

Times = NDArray[np.float64]  # N, in frames or seconds; NaN where not known
Pairs = NDArray[np.int64]  # P x 2, positions of images
Counts = NDArray[np.float64]
Ratios = NDArray[np.float32]

FRAMES, SECONDS = "frames", "seconds"
BIN = {FRAMES: 100.0, SECONDS: 4.0}  # 100 frames are 4 s at Market-1501's 25 frames a second
SMOOTHING = 3.0  # standard deviation of the Gaussian, in bins
CLIP = 6.0  # the largest ratio, as a natural logarithm
PRIOR_PAIRS = 50.0  # a camera pair's own data weighs as much as the prior at this many pairs
FARTHEST = 25_000  # bins; 28 hours
# What a ratio weighs: beside the cosine, times the standard deviation of strangers' cosines, which
# differs from encoder to encoder; beside re-ranked scores, as it is. Both are the best for people
# held out from training (benchmarks/transit.py).
WEIGHT, RERANKED_WEIGHT = 0.56, 0.07
BLOCK = 512  # images whose cosines to all others are held at once


@dataclass(frozen=True)
class Clock:
    """Puts sightings of one camera on one time axis, in ``unit``.

    Where all have timestamps these are the time, in seconds. Otherwise frames are, which start
    anew with each sequence: ``starts`` maps (camera, sequence) to the frames before it.
    """

    unit: str
    starts: dict[tuple[int, int], int]

    def times(self, camera: Ids, sequence: Ids, frame: Ids, timestamp: Times) -> Times:
        """The time of each sighting; NaN where it is not known."""
        if self.unit == SECONDS:
            return timestamp
        starts = [
            self.starts.get(key, np.nan)
            for key in zip(camera.tolist(), sequence.tolist(), strict=True)
        ]
        return np.where(frame == UNKNOWN, np.nan, frame + np.array(starts, dtype=float))

    def bins(self, times: Times) -> Times:
        """Whole numbers of BIN, as floats; NaN stays."""
        return np.floor(times / BIN[self.unit])


def clock(camera: Ids, sequence: Ids, frame: Ids, timestamp: Times) -> Clock:
    """The clock that fits these sightings. Raises UsageError where none tells a time."""
    if len(timestamp) and np.isfinite(timestamp).all():
        return Clock(SECONDS, {})
    if not (frame != UNKNOWN).any():
        raise UsageError(
            "no stored image has a time: neither frames nor timestamps are known",
            hint="Ingest images named like 0002_c1s1_000451_03.jpg, or a CSV with the column "
            "timestamp.",
        )
    starts: dict[tuple[int, int], int] = {}
    for one in np.unique(camera).tolist():
        before = 0
        for part in np.unique(sequence[camera == one]).tolist():
            starts[one, part] = before
            before += int(frame[(camera == one) & (sequence == part)].max()) + 1
    return Clock(FRAMES, starts)


@dataclass(frozen=True)
class Transit:
    """Log-likelihood ratios by camera pair and by the time between two sightings.

    ``tables`` maps cameras (a, b), a < b, to the ratio for each difference in bins, time at b less
    time at a, from ``first`` on. ``shared`` has the ratio for each number of bins apart, whatever
    the cameras and the sign; it serves pairs of cameras without a table. Beyond the ends of both,
    their outermost value holds.
    """

    clock: Clock
    shared: Ratios
    tables: dict[tuple[int, int], Ratios]
    first: dict[tuple[int, int], int]
    pairs: int  # of the same person, that it was learned from

    def ratios(self, probe_camera: Ids, probe_times: Times, camera: Ids, times: Times) -> Ratios:
        """Q x G log-likelihood ratios, natural, within CLIP of 0.

        0, which speaks neither for nor against, within a camera and where a time is not known.
        """
        mine, theirs = (self.clock.bins(t) for t in (probe_times, times))
        known, present = np.isfinite(mine), np.isfinite(theirs)
        out = np.zeros((len(mine), len(theirs)), dtype=np.float32)
        for here in np.unique(probe_camera[known]).tolist():
            rows = np.flatnonzero(known & (probe_camera == here))
            for there in np.unique(camera[present]).tolist():
                columns = np.flatnonzero(present & (camera == there))
                if here != there:
                    later = (theirs[columns][None, :] - mine[rows][:, None]).astype(np.int64)
                    out[np.ix_(rows, columns)] = self._look_up(here, there, later)
        return out

    def _look_up(self, here: int, there: int, later: NDArray[np.int64]) -> Ratios:
        pair = min(here, there), max(here, there)
        if pair in self.tables:
            table = self.tables[pair]
            index = (later if here < there else -later) - self.first[pair]
        else:
            table, index = self.shared, np.abs(later)
        return table[np.clip(index, 0, len(table) - 1)]

    def to_bytes(self) -> bytes:
        """As an .npz archive, without pickles."""
        pairs = sorted(self.tables)
        starts = [(*key, value) for key, value in sorted(self.clock.starts.items())]
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            unit=np.array(self.clock.unit),
            starts=np.array(starts, dtype=np.int64).reshape(-1, 3),
            shared=self.shared,
            cameras=np.array(pairs, dtype=np.int64).reshape(-1, 2),
            first=np.array([self.first[p] for p in pairs], dtype=np.int64),
            lengths=np.array([len(self.tables[p]) for p in pairs], dtype=np.int64),
            values=np.concatenate([np.empty(0, np.float32), *(self.tables[p] for p in pairs)]),
            pairs=np.array(self.pairs),
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of ``to_bytes``."""
        with np.load(io.BytesIO(data), allow_pickle=False) as saved:
            cameras = [(a, b) for a, b in saved["cameras"].tolist()]
            tables = np.split(saved["values"], np.cumsum(saved["lengths"])[:-1])
            starts = {(camera, part): before for camera, part, before in saved["starts"].tolist()}
            return cls(
                clock=Clock(str(saved["unit"]), starts),
                shared=saved["shared"],
                tables=dict(zip(cameras, tables, strict=False)),
                first=dict(zip(cameras, saved["first"].tolist(), strict=True)),
                pairs=int(saved["pairs"]),
            )


def learn(clock: Clock, camera: Ids, times: Times, same: Pairs) -> Transit:
    """The ratios of N sightings, of which the pairs ``same`` show the same person.

    Different people are all pairs of sightings from two cameras: those of one person are few among
    them. Both distributions are smoothed. A pair of cameras with little data leans on what all of
    them together say of the number of bins apart. Raises UsageError where no pair is from two
    cameras at known times.
    """
    bins = clock.bins(times)
    usable = np.isfinite(bins[same]).all(axis=1) & (camera[same[:, 0]] != camera[same[:, 1]])
    same = same[usable]
    if not len(same):
        raise UsageError(
            "there is no pair of images of one person from two cameras at known times",
            hint="Ingest more images, or images with identities.",
        )
    swap = camera[same[:, 0]] > camera[same[:, 1]]
    same = np.where(swap[:, None], same[:, ::-1], same)
    apart = (bins[same[:, 1]] - bins[same[:, 0]]).astype(np.int64)
    seen = {one: bins[(camera == one) & np.isfinite(bins)] for one in np.unique(camera).tolist()}

    def histograms(a: int, b: int) -> tuple[int, Counts, Counts]:
        first, different = _differences(seen[a], seen[b])
        ours = (camera[same[:, 0]] == a) & (camera[same[:, 1]] == b)
        together = np.bincount(apart[ours] - first, minlength=len(different)).astype(float)
        return _fold(first, _smooth(together), _smooth(different))

    pairs = [(a, b) for a, b in itertools.combinations(seen, 2) if len(seen[a]) and len(seen[b])]
    sums = np.zeros((2, FARTHEST + 1))
    for pair in pairs:
        first, *counts = histograms(*pair)
        for total, count in zip(sums, counts, strict=True):
            np.add.at(total, np.abs(np.arange(first, first + len(count))), count)
    reached = int(np.flatnonzero(sums[1])[-1]) + 1
    p_together, p_different = (sums / sums.sum(axis=1, keepdims=True))[:, :reached]
    prior = np.divide(p_together, p_different, out=np.zeros(reached), where=p_different > 0)

    tables, firsts = {}, {}
    for pair in pairs:
        first, together, different = histograms(*pair)
        if not together.any():
            continue
        p_different = different / different.sum()
        p_prior = p_different * prior[np.abs(np.arange(first, first + len(different)))]
        weight = PRIOR_PAIRS / p_prior.sum()
        p_same = (together + weight * p_prior) / (together.sum() + PRIOR_PAIRS)
        tables[pair], firsts[pair] = _log_ratio(p_same, p_different), first
    shared = _log_ratio(p_together, sums[1, :reached] / sums[1].sum())
    return Transit(clock, shared, tables, firsts, len(same))


def known_pairs(identity: Ids, camera: Ids) -> Pairs:
    """All pairs of images of one known person from two cameras."""
    found = []
    order = np.argsort(identity, kind="stable")
    for images in np.split(order, np.flatnonzero(np.diff(identity[order])) + 1):
        if len(images) > 1 and identity[images[0]] > 0:
            pairs = images[np.stack(np.triu_indices(len(images), 1), axis=1)]
            found.append(pairs[camera[pairs[:, 0]] != camera[pairs[:, 1]]])
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *found])


def mutual_pairs(vectors: Vectors, camera: Ids) -> Pairs:
    """For every two cameras, the pairs of their images that are each other's nearest by cosine.

    Some show two people. Their times differ as those of strangers do, which only flattens what is
    learned from them.
    """
    found = []
    for a, b in itertools.combinations(np.unique(camera).tolist(), 2):
        rows, columns = np.flatnonzero(camera == a), np.flatnonzero(camera == b)
        forth, back = _nearest(vectors[rows], vectors[columns])
        mutual = back[forth] == np.arange(len(rows))
        found.append(np.stack([rows[mutual], columns[forth[mutual]]], axis=1))
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *found])


def _nearest(a: Vectors, b: Vectors) -> tuple[Ids, Ids]:
    """The position in ``b`` of the nearest to each of ``a``, and the other way round."""
    forth = np.empty(len(a), dtype=np.int64)
    back, best = np.zeros(len(b), dtype=np.int64), np.full(len(b), -np.inf)
    for start in range(0, len(a), BLOCK):
        cosines = a[start : start + BLOCK] @ b.T
        forth[start : start + BLOCK] = cosines.argmax(axis=1)
        candidate = cosines.argmax(axis=0)
        score = cosines[candidate, np.arange(len(b))]
        better = score > best
        back[better], best[better] = candidate[better] + start, score[better]
    return forth, back


def _log_ratio(p_same: Counts, p_different: Counts) -> Ratios:
    floor = np.exp(-CLIP)  # the share of pairs that follow no rule about transit times
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log((1 - floor) * p_same / p_different + floor)
    clipped: Ratios = np.clip(np.nan_to_num(ratio), -CLIP, CLIP).astype(np.float32)
    return clipped


def _differences(a: Times, b: Times) -> tuple[int, Counts]:
    """The smallest difference b - a of two sets of bins, and how often each from there occurs."""
    low_a, low_b = int(a.min()), int(b.min())
    count_a = np.bincount((a - low_a).astype(np.int64)).astype(float)
    count_b = np.bincount((b - low_b).astype(np.int64)).astype(float)
    size = len(count_a) + len(count_b) - 1
    # The correlation of the two histograms, by Fourier transform: they may be long.
    spectrum = np.fft.rfft(count_b, size) * np.fft.rfft(count_a[::-1], size)
    counts = np.round(np.fft.irfft(spectrum, size))
    return low_b - low_a - (len(count_a) - 1), np.maximum(counts, 0.0)


def _smooth(counts: Counts) -> Counts:
    """Convolved with a Gaussian of SMOOTHING bins; what would leave at the ends stays there."""
    reach = int(4 * SMOOTHING)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING) ** 2)
    spread = np.convolve(counts, kernel / kernel.sum())
    inner = spread[reach : reach + len(counts)].copy()
    inner[0] += spread[:reach].sum()
    inner[-1] += spread[reach + len(counts) :].sum()
    return inner


def _fold(first: int, *counts: Counts) -> tuple[int, Counts, Counts]:
    """Counts by difference, from ``first`` on, with those beyond FARTHEST added to its own."""
    differences = np.arange(first, first + len(counts[0]))
    low = max(first, -FARTHEST)
    index = np.clip(differences, -FARTHEST, FARTHEST) - low
    together, different = (np.bincount(index, weights=c).astype(np.float64) for c in counts)
    return low, together, different
