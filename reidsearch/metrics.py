"""CMC, mAP and mINP from distances, as the Market-1501 protocol defines them. Pure numpy.

Only the ranks of a probe's few positives decide every one of these numbers, so no full ranking
is made: of the gallery, just what lies no farther than the probe's last positive is sorted.

Ties are broken by gallery position; keep the gallery in id order to make that reproducible.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidsearch.types import JUNK, Labels

Distances = NDArray[np.floating[Any]]
Ranks = NDArray[np.int64]  # 0-based ranks of one probe's positives, ascending

CMC_RANKS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Scores:
    """The protocol's numbers, as fractions. ``queries`` counts the probes that have a positive."""

    queries: int
    mAP: float  # noqa: N815 - the field writes it so
    mAP_trapezoid: float  # noqa: N815
    mINP: float  # noqa: N815
    cmc: dict[int, float]


def positive_ranks(distances: Distances, probes: Labels, gallery: Labels) -> Iterator[Ranks]:
    """For each probe, the 0-based ranks of its positives in its own gallery.

    A probe's own gallery leaves out junk and every image of the same identity from the same
    camera; distractors stay in. ``distances`` is Q x G, smaller is nearer; NaN is an error.
    A probe without a positive gives an empty array.

    Raises ValueError on shapes that do not fit or on NaN.
    """
    if distances.shape != (len(probes), len(gallery)):
        raise ValueError(f"distances are {distances.shape}, not {len(probes)} x {len(gallery)}")
    if np.isnan(distances).any():
        raise ValueError("distances hold NaN")
    not_junk = gallery.identity != JUNK
    for row, identity, camera in zip(distances, probes.identity, probes.camera, strict=True):
        same = gallery.identity == identity
        positive = same & (gallery.camera != camera) & not_junk
        if not positive.any():
            yield np.empty(0, dtype=np.int64)
            continue
        last = row[positive].max()
        near = np.flatnonzero((row <= last) & not_junk & (positive | ~same))
        order = near[np.argsort(row[near], kind="stable")]
        yield np.flatnonzero(positive[order])


def average_precision(ranks: Ranks) -> float:
    """Plain AP, (1/R) sum (i+1)/(r_i+1) over the 0-based ranks r_i of R positives.

    What torchreid, FastReID, BoT and TransReID report. R must be positive.
    """
    hits = np.arange(1, len(ranks) + 1)
    return float(np.mean(hits / (ranks + 1)))


def average_precision_trapezoid(ranks: Ranks) -> float:
    """AP by the trapezoid rule, (1/R) sum of half of [i/r_i + (i+1)/(r_i+1)].

    The first fraction counts as 1 where r_i = 0. This is what the data set's official MATLAB
    code computes (Zheng et al., ICCV 2015); it reads a little lower than plain AP.
    """
    before = np.arange(len(ranks))
    old = np.where(ranks == 0, 1.0, before / np.maximum(ranks, 1))
    return float(np.mean((old + (before + 1) / (ranks + 1)) / 2))


def inverse_negative_penalty(ranks: Ranks) -> float:
    """INP, R / (1-based rank of the last positive) (Ye et al., TPAMI 2021)."""
    return float(len(ranks) / (ranks[-1] + 1))


def score(ranks: Iterable[Ranks], *, cmc_ranks: Sequence[int] = CMC_RANKS) -> Scores:
    """Average the numbers over probes. Probes without a positive are left out, as peers do.

    Raises ValueError where no probe has a positive.
    """
    counted = [r for r in ranks if len(r)]
    if not counted:
        raise ValueError("no probe has a positive in the gallery")
    first = np.array([r[0] for r in counted])
    return Scores(
        queries=len(counted),
        mAP=float(np.mean([average_precision(r) for r in counted])),
        mAP_trapezoid=float(np.mean([average_precision_trapezoid(r) for r in counted])),
        mINP=float(np.mean([inverse_negative_penalty(r) for r in counted])),
        cmc={k: float(np.mean(first < k)) for k in cmc_ranks},
    )
