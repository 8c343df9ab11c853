"""CMC, mAP and mINP from distances, as the Market-1501 protocol defines them. Pure numpy.

Only the ranks of a probe's few positives decide every one of these numbers, so nothing is sorted:
for each positive, what is nearer to the probe is counted.

Ties are broken by gallery position; keep the gallery in id order to make that reproducible.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.arrays import ranges
from reidsearch.types import JUNK, Distances, Labels

Ranks = NDArray[np.int64]  # 0-based ranks of one probe's positives, ascending

CMC_RANKS = (1, 5, 10, 20)
CELLS = 1 << 20  # distances that are ranked at once


@dataclass(frozen=True)
class Scores:
    """The protocol's numbers, as fractions. ``queries`` counts the probes that have a positive."""

    queries: int
    mAP: float  # noqa: N815 - the field writes it so
    mAP_trapezoid: float  # noqa: N815
    mINP: float  # noqa: N815
    cmc: dict[int, float]


@dataclass(frozen=True)
class PerProbe:
    """The numbers of N probes, one by one: NaN, and a ``first`` of -1, without a positive.

    ``ap`` is plain AP, (1/R) sum (i+1)/(r_i+1) over the 0-based ranks r_i of R positives: what
    torchreid, FastReID, BoT and TransReID report. ``ap_trapezoid`` is (1/R) sum of half of
    [i/r_i + (i+1)/(r_i+1)], the first fraction 1 where r_i = 0: what the data set's official
    MATLAB code computes (Zheng et al., ICCV 2015); it reads a little lower. ``inp`` is R / (1-based
    rank of the last positive) (Ye et al., TPAMI 2021). ``first`` is the 0-based rank of the first
    positive.
    """

    ap: NDArray[np.float64]
    ap_trapezoid: NDArray[np.float64]
    inp: NDArray[np.float64]
    first: Ranks

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which probes have a positive. The others are left out of averages, as peers do."""
        return self.first >= 0

    def cmc(self, length: int) -> NDArray[np.float64]:
        """The share of the counted probes with a positive within rank 1, 2, ... ``length``."""
        first = self.first[self.counted]
        hits = np.bincount(np.minimum(first, length), minlength=length + 1)
        shares: NDArray[np.float64] = np.cumsum(hits[:length]) / len(first)
        return shares

    def summary(self, *, cmc_ranks: Sequence[int] = CMC_RANKS) -> Scores:
        """Averages over probes. Raises ValueError where none has a positive."""
        if not self.counted.any():
            raise ValueError("no probe has a positive in the gallery")
        cmc = self.cmc(max(cmc_ranks))
        return Scores(
            queries=int(self.counted.sum()),
            mAP=float(np.nanmean(self.ap)),
            mAP_trapezoid=float(np.nanmean(self.ap_trapezoid)),
            mINP=float(np.nanmean(self.inp)),
            cmc={k: float(cmc[k - 1]) for k in cmc_ranks},
        )


def positive_ranks(
    distances: Distances, probes: Labels, gallery: Labels, *, other_cameras_only: bool = False
) -> Iterator[Ranks]:
    """For each probe, the 0-based ranks of its positives in its own gallery.

    A probe's own gallery leaves out junk and every image of the same identity from the same
    camera; distractors stay in. ``other_cameras_only`` leaves out all of the probe's camera, which
    is not the protocol. ``distances`` is Q x G, smaller is nearer; NaN is an error. A probe without
    a positive gives an empty array.

    Raises ValueError on shapes that do not fit or on NaN.
    """
    if distances.shape != (len(probes), len(gallery)):
        raise ValueError(f"distances are {distances.shape}, not {len(probes)} x {len(gallery)}")
    by_identity = np.argsort(gallery.identity, kind="stable")
    found = gallery.identity[by_identity]
    starts = np.searchsorted(found, probes.identity, "left")
    counts = np.searchsorted(found, probes.identity, "right") - starts
    counts[probes.identity == JUNK] = 0  # nobody is known to be the same person
    junk = np.flatnonzero(gallery.identity == JUNK)

    def of_block(rows: slice) -> list[Ranks]:
        block = distances[rows]
        if block.size and np.isnan(block.min()):
            raise ValueError("distances hold NaN")
        row = np.repeat(np.arange(len(block)), counts[rows])
        column = by_identity[ranges(starts[rows], counts[rows])]  # who shows the same person
        elsewhere = gallery.camera[column] != probes.camera[rows][row]
        left_out = row[~elsewhere], column[~elsewhere]
        row, column = row[elsewhere], column[elsewhere]
        order = np.lexsort((column, block[row, column], row))
        row, column = row[order], column[order]

        farthest = np.full(len(block), -np.inf, dtype=block.dtype)
        farthest[row] = block[row, column]  # the last one of each row stays
        near = block <= farthest[:, None]
        near[np.bincount(row, minlength=len(block)) == 0] = False
        if other_cameras_only:
            near &= gallery.camera != probes.camera[rows, None]
        near[left_out] = False
        near[:, junk] = False
        return _ranks(block, near, row, column)

    step = max(1, CELLS // max(1, len(gallery)))
    # Two at a time: more would only wait for the interpreter between numpy's calls.
    with ThreadPoolExecutor(2) as pool:
        blocks = (slice(start, start + step) for start in range(0, len(probes), step))
        for ranks in pool.map(of_block, blocks):
            yield from ranks


def precision_recall(ranks: Iterable[Ranks], *, steps: int = 100) -> NDArray[np.float64]:
    """The mean precision where 1, 2, ... ``steps`` of as many parts of a probe's positives have
    been found: ``steps`` numbers, over the probes that have a positive.

    Found means that the ranking was followed down to the positive that completes the part; nothing
    is interpolated, so that the curve's mean comes to mAP as the steps become finer. Raises
    ValueError where no probe has a positive.
    """
    every = [r for r in ranks if len(r)]
    if not every:
        raise ValueError("no probe has a positive in the gallery")
    counts = np.array([len(r) for r in every], dtype=np.int64)[:, None]
    found = -(-np.arange(1, steps + 1) * counts // steps)  # Q x steps, rounded up
    starts = np.cumsum(counts)[:, None] - counts
    mean: NDArray[np.float64] = (found / (np.concatenate(every)[starts + found - 1] + 1)).mean(0)
    return mean


def _ranks(block: Distances, near: NDArray[np.bool_], row: Ranks, column: Ranks) -> list[Ranks]:
    """Of each probe of a block (B x G), the ranks of its positives among what is ``near``; all of
    these lie at (row, column), ordered by row, distance and column."""
    size = block.shape[1]
    wanted = block[row, column]
    ends = np.cumsum(np.bincount(row, minlength=len(block)))
    firsts = np.append(0, ends[:-1])
    hits = np.flatnonzero(near)
    values = block.reshape(-1)[hits]
    stops = np.searchsorted(hits, np.arange(1, len(block) + 1) * size)
    # A value precedes all positives beyond those that are not farther than it ...
    passed = np.empty(len(hits), dtype=np.int64)
    begin = 0
    for first, end, stop in zip(*(of.tolist() for of in (firsts, ends, stops)), strict=True):
        passed[begin:stop] = wanted[first:end].searchsorted(values[begin:stop], "right")
        begin = stop
    per_row = np.diff(stops, prepend=0)
    slots = np.repeat(firsts + np.arange(len(block)), per_row)  # one more than there are positives
    slots += passed
    below = np.bincount(slots, minlength=len(row) + len(block))
    ranks = np.cumsum(below[np.arange(len(row)) + row])
    ranks -= np.append(0, ranks)[firsts[row]]
    # ... and of those that are as far as it, the ones behind it in the gallery.
    passed -= 1
    np.maximum(passed, 0, out=passed)
    passed += np.repeat(firsts, per_row)
    tied = np.flatnonzero(wanted[passed] == values)
    group = passed[tied]
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    earlier = np.empty(len(tied), dtype=np.int64)
    earlier[order] = np.arange(len(tied)) - np.searchsorted(ordered, ordered)
    ranks += earlier[np.searchsorted(hits[tied], row * size + column)]
    return [ranks[first:end] for first, end in zip(firsts, ends, strict=True)]


def per_probe(ranks: Iterable[Ranks]) -> PerProbe:
    """The numbers of each probe, from what ``positive_ranks`` gives."""
    every = list(ranks)
    counts = np.array([len(r) for r in every], dtype=np.int64)
    flat = np.concatenate([np.empty(0, dtype=np.int64), *every])
    ends = np.cumsum(counts)
    probe = np.repeat(np.arange(len(every)), counts)
    before = ranges(np.zeros_like(counts), counts)  # positives ahead of each
    precision = (before + 1) / (flat + 1)
    old = np.where(flat == 0, 1.0, before / np.maximum(flat, 1))

    has = counts > 0
    ap, ap_trapezoid, inp = np.full((3, len(every)), np.nan)
    first = np.full(len(every), -1, dtype=np.int64)
    for out, values in ((ap, precision), (ap_trapezoid, (old + precision) / 2)):
        sums = np.bincount(probe, weights=values, minlength=len(every))
        out[has] = sums[has] / counts[has]
    inp[has] = precision[ends[has] - 1]
    first[has] = flat[(ends - counts)[has]]
    return PerProbe(ap, ap_trapezoid, inp, first)
