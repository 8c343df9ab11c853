"""The Market-1501 protocol over the stored vectors."""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch import calibrate, metrics, transit
from reidsearch import rerank as reranking
from reidsearch.calibrate import Calibration
from reidsearch.catalog import Stored
from reidsearch.errors import EmptyGallery, UsageError
from reidsearch.gallery import Gallery
from reidsearch.types import JUNK, Split, Vectors

Mask = NDArray[np.bool_]

BLOCK = 256  # probes whose distances are held at once: 16 MB against Market-1501's gallery


@dataclass(frozen=True)
class Evaluation:
    """``queries`` are the probes that count: those with a positive. ``gallery`` leaves out junk.
    ``camera_pairs`` is mAP by (probe camera, gallery camera), where it was asked for;
    ``calibration`` has the transit times used, where they were. ``seconds`` has the time spent on
    each step."""

    scores: metrics.Scores
    queries: int
    queries_without_positive: int
    gallery: int
    multi_query: bool
    reranked: bool
    camera_pairs: dict[tuple[int, int], float]
    calibration: Calibration | None
    encoder: str
    seconds: dict[str, float]


def evaluate(
    gallery: Gallery,
    *,
    multi_query: bool = False,
    rerank: bool = False,
    camera_pairs: bool = False,
    spatio_temporal: bool = False,
) -> Evaluation:
    """Rank the stored gallery for every stored probe: single query, cosine distance.

    ``multi_query`` replaces a probe's vector by the mean of its person's multi-query images from
    its camera, where there are some. ``rerank`` re-ranks by k-reciprocal neighbours among probes
    and gallery without junk. ``camera_pairs`` also ranks each camera's gallery images alone
    for each camera's probes. ``spatio_temporal`` adds transit.WEIGHT times the log-likelihood
    ratio of the time between two sightings to their cosine; images of the probe's camera keep their
    cosine.

    Raises EmptyGallery where there are no labelled probes, no gallery, or no probe with a
    positive; NotCalibrated where transit times are asked for and not learned, UsageError where
    re-ranking is asked for as well.
    """
    if rerank and spatio_temporal:
        raise UsageError(
            "re-ranking and transit times cannot be combined", hint="Choose one of the two."
        )
    started = time.perf_counter()
    stored, vectors = gallery.load()
    is_probe = (stored.split == Split.QUERY) & (stored.identity > 0)
    is_gallery = (stored.split == Split.GALLERY) & (stored.identity >= JUNK)
    _require(stored, is_probe, "query", "probes with a known identity")
    _require(stored, is_gallery, "gallery", "gallery images with a known identity")
    loaded = time.perf_counter()

    labels = stored.labels
    probes, others = labels[is_probe], labels[is_gallery]
    if multi_query:
        _require(stored, stored.split == Split.MULTI_QUERY, "multi-query", "multi-query images")
        vectors = _pooled(stored, vectors)
    calibration = calibrate.load(gallery) if spatio_temporal else None
    if rerank:
        is_gallery &= stored.identity != JUNK
    sides = _Sides(stored, vectors, calibration, rerank)
    ranks = sides.ranks(is_probe, is_gallery)
    try:
        scores = metrics.score(ranks)
    except ValueError as error:
        raise EmptyGallery(
            f"there is nothing to evaluate: {error}",
            hint="A probe needs a gallery image of the same identity from another camera.",
        ) from None
    ranked = time.perf_counter()
    seconds = {"load": loaded - started, "rank": ranked - loaded}
    pairs = {}
    if camera_pairs:
        pairs = dict(_camera_pairs(sides, is_probe, is_gallery))
        seconds["camera pairs"] = time.perf_counter() - ranked
    return Evaluation(
        scores=scores,
        queries=scores.queries,
        queries_without_positive=len(probes) - scores.queries,
        gallery=int((others.identity != JUNK).sum()),
        multi_query=multi_query,
        reranked=rerank,
        camera_pairs=pairs,
        calibration=calibration,
        encoder=gallery.encoder_name,
        seconds=seconds,
    )


def _pooled(stored: Stored, vectors: Vectors) -> Vectors:
    """The vectors, with those of queries replaced by means over their multi-query images."""
    pools: dict[tuple[int, int], list[int]] = defaultdict(list)
    keys = list(zip(stored.labels.identity.tolist(), stored.labels.camera.tolist(), strict=True))
    for row in np.flatnonzero(stored.split == Split.MULTI_QUERY).tolist():
        pools[keys[row]].append(row)
    pooled = vectors.copy()
    for row in np.flatnonzero(stored.split == Split.QUERY).tolist():
        if keys[row] in pools:
            mean = vectors[pools[keys[row]]].mean(axis=0)
            pooled[row] = mean / np.linalg.norm(mean)
    return pooled


@dataclass(frozen=True)
class _Sides:
    """What is stored, from which probes and galleries are taken by boolean masks."""

    stored: Stored
    vectors: Vectors
    calibration: Calibration | None
    rerank: bool

    def ranks(self, is_probe: Mask, is_gallery: Mask) -> Iterator[metrics.Ranks]:
        """The ranks of each probe's positives, a block of probes at a time."""
        labels = self.stored.labels
        probes, gallery = labels[is_probe], labels[is_gallery]
        start = 0
        for distances in self._distances(is_probe, is_gallery):
            block = probes[start : start + len(distances)]
            start += len(distances)
            yield from metrics.positive_ranks(distances, block, gallery)

    def _distances(self, is_probe: Mask, is_gallery: Mask) -> Iterator[metrics.Distances]:
        probes, gallery = self.vectors[is_probe], self.vectors[is_gallery]
        if self.rerank:
            yield from reranking.rerank(probes, gallery)
            return
        camera, times = self.stored.labels.camera, self._times()
        mine, theirs = (camera[is_probe], times[is_probe]), (camera[is_gallery], times[is_gallery])
        for start in range(0, len(probes), BLOCK):
            rows = slice(start, start + BLOCK)
            distances = 1 - probes[rows] @ gallery.T
            if self.calibration is not None:
                ratios = self.calibration.transit.ratios(mine[0][rows], mine[1][rows], *theirs)
                distances -= transit.WEIGHT * ratios
            yield distances

    def _times(self) -> transit.Times:
        if self.calibration is None:
            return np.full(len(self.stored), np.nan)
        of = self.stored
        clock = self.calibration.transit.clock
        return clock.times(of.labels.camera, of.sequence, of.frame, of.timestamp)


def _camera_pairs(
    sides: _Sides, is_probe: Mask, is_gallery: Mask
) -> Iterator[tuple[tuple[int, int], float]]:
    """mAP of one camera's probes in the gallery of one other camera, where there is a positive."""
    camera = sides.stored.camera
    for a, b in itertools.permutations(np.unique(camera[is_probe | is_gallery]).tolist(), 2):
        ranks = list(sides.ranks(is_probe & (camera == a), is_gallery & (camera == b)))
        if any(len(r) for r in ranks):
            yield (a, b), metrics.score(ranks).mAP


def _require(stored: Stored, wanted: Mask, split: str, what: str) -> None:
    if wanted.any():
        return
    here = ", ".join(sorted(set(stored.split.tolist())))
    raise EmptyGallery(
        f"the gallery holds no {what}",
        hint=f"Stored splits: {here}. Ingest the {split} split too, from a Market-1501 folder or "
        "from a CSV with the columns path, split, camera, identity.",
    )
