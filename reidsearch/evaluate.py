"""The Market-1501 protocol over the stored vectors."""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from reidsearch import calibrate
from reidsearch.calibrate import Calibration
from reidsearch.catalog import State, Stored
from reidsearch.errors import EmptyGallery, IncompleteGallery, UnknownCamera
from reidsearch.gallery import Gallery
from reidsearch.ranking import metrics, transit
from reidsearch.ranking import rerank as reranking
from reidsearch.ranking.metrics import Distances, PerProbe, Ranks, Scores
from reidsearch.types import JUNK, UNKNOWN, Labels, Split, Vectors

Rows = NDArray[np.int64]  # positions in what is stored

BLOCK = 256  # the most probes whose distances are held at once
BLOCK_DISTANCES = 1 << 25  # and the most of these: 128 MB
SPLITS = (Split.QUERY, Split.GALLERY)


@dataclass(frozen=True)
class Trial:
    """Probes and gallery, without junk, as positions in what is stored, and how distances are
    made: by cosine, with transit times where there is a ``calibration``, or re-ranked."""

    stored: Stored
    vectors: Vectors
    probes: Rows
    gallery: Rows
    calibration: Calibration | None = None
    rerank: bool = False

    @property
    def probe_labels(self) -> Labels:
        return self.stored.labels[self.probes]

    @property
    def gallery_labels(self) -> Labels:
        return self.stored.labels[self.gallery]

    def distances(self) -> Iterator[Distances]:
        """Distances (B x G), a block of probes at a time; smaller is nearer. 1 - score."""
        if self.calibration is None:
            yield from self._by_looks()
            return
        weight = transit.RERANKED_WEIGHT if self.rerank else self.calibration.weight
        model, camera = self.calibration.transit, self.stored.labels.camera
        times = self.stored.times(model.clock)
        there = camera[self.gallery], times[self.gallery]
        start = 0
        for distances in self._by_looks():
            rows = self.probes[start : start + len(distances)]
            start += len(distances)
            distances -= np.float32(weight) * model.ratios(camera[rows], times[rows], *there)
            yield distances

    def _by_looks(self) -> Iterator[Distances]:
        probes, gallery = self.vectors[self.probes], self.vectors[self.gallery]
        if self.rerank:
            yield from reranking.rerank(probes, gallery)
            return
        for rows in blocks(len(probes), len(gallery)):
            yield 1 - probes[rows] @ gallery.T


def blocks(probes: int, gallery: int) -> Iterator[slice]:
    """The probes in runs short enough that their distances to the gallery need little memory."""
    size = max(1, min(BLOCK, BLOCK_DISTANCES // gallery))
    for start in range(0, probes, size):
        yield slice(start, min(start + size, probes))


@dataclass(frozen=True)
class Evaluation:
    """``queries`` are the probes that count: those with a positive. ``gallery`` leaves out junk,
    and the ``unlabelled`` images whose identity is not known. ``camera_pairs`` is mAP by (probe
    camera, gallery camera), where it was asked for; ``other_cameras`` are the numbers with all of
    each probe's own camera ruled out, where transit times were used. ``seconds`` has the time spent
    on each step."""

    scores: Scores
    queries: int
    queries_without_positive: int
    gallery: int
    unlabelled: int
    multi_query: bool
    camera_pairs: dict[tuple[int, int], float]
    other_cameras: Scores | None
    encoder: str
    seconds: dict[str, float]
    trial: Trial = field(repr=False)
    per_probe: PerProbe = field(repr=False)

    def numbers(self) -> list[tuple[str, float]]:
        """The scores under the names that people read."""
        return [
            *((f"Rank-{rank}", value) for rank, value in self.scores.cmc.items()),
            ("mAP", self.scores.mAP),
            ("mAP (trapezoid)", self.scores.mAP_trapezoid),
            ("mINP", self.scores.mINP),
        ]


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
    for each camera's probes. ``spatio_temporal`` adds the weighted log-likelihood ratio of the time
    between two sightings to their score; images of the probe's camera keep theirs.

    Raises EmptyGallery where there are no labelled probes, no gallery, or no probe with a
    positive; IncompleteGallery where an ingest has not ended; UnknownCamera where a camera is not
    known; NotCalibrated where transit times are asked for and not learned.
    """
    started = time.perf_counter()
    trial = _trial(gallery, multi_query=multi_query)
    trial = replace(
        trial, rerank=rerank, calibration=calibrate.load(gallery) if spatio_temporal else None
    )
    loaded = time.perf_counter()

    probes, others = trial.probe_labels, trial.gallery_labels
    ranks: list[Ranks] = []
    elsewhere: list[Ranks] = []
    start = 0
    for distances in trial.distances():
        block = probes[start : start + len(distances)]
        start += len(distances)
        ranks += metrics.positive_ranks(distances, block, others)
        if spatio_temporal:
            elsewhere += metrics.positive_ranks(distances, block, others, other_cameras_only=True)
    per_probe = metrics.per_probe(ranks)
    try:
        scores = per_probe.summary()
    except ValueError as error:
        raise EmptyGallery(
            f"there is nothing to evaluate: {error}",
            hint="A probe needs a gallery image of the same identity from another camera.",
        ) from None
    ranked = time.perf_counter()
    seconds = {"load": loaded - started, "rank": ranked - loaded}
    pairs = {}
    if camera_pairs:
        pairs = dict(_camera_pairs(trial))
        seconds["camera pairs"] = time.perf_counter() - ranked
    split, identity = trial.stored.split, trial.stored.identity
    return Evaluation(
        scores=scores,
        queries=scores.queries,
        queries_without_positive=len(probes) - scores.queries,
        gallery=len(others),
        unlabelled=int(((split == Split.GALLERY) & (identity == UNKNOWN)).sum()),
        multi_query=multi_query,
        camera_pairs=pairs,
        other_cameras=metrics.per_probe(elsewhere).summary() if elsewhere else None,
        encoder=gallery.encoder_name,
        seconds=seconds,
        trial=trial,
        per_probe=per_probe,
    )


def _trial(gallery: Gallery, *, multi_query: bool) -> Trial:
    """What is stored of the protocol, checked."""
    _require_whole(gallery)
    stored, vectors = gallery.load((*SPLITS, Split.MULTI_QUERY) if multi_query else SPLITS)
    known = stored.identity > JUNK
    probes = np.flatnonzero((stored.split == Split.QUERY) & (stored.identity > 0))
    others = np.flatnonzero((stored.split == Split.GALLERY) & known)
    _require(gallery, Split.QUERY, probes, "probes with a known identity")
    _require(gallery, Split.GALLERY, others, "gallery images with a known identity")
    for rows, what in ((probes, "queries"), (others, "gallery images")):
        unknown = int((stored.camera[rows] == UNKNOWN).sum())
        if unknown:
            raise UnknownCamera(
                f"the cameras of {unknown} {what} are not known, and the protocol needs them",
                hint="Name the files like 0002_c1s1_000451_03.jpg or give a CSV with the column "
                "camera, and ingest again.",
            )
    if multi_query:
        pool = np.flatnonzero(stored.split == Split.MULTI_QUERY)
        _require(gallery, Split.MULTI_QUERY, pool, "multi-query images")
        vectors = _pooled(stored, vectors)
    return Trial(stored, vectors, probes, others)


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


def _camera_pairs(trial: Trial) -> Iterator[tuple[tuple[int, int], float]]:
    """mAP of one camera's probes in the gallery of one other camera, where there is a positive.

    Only the ranking is narrowed to two cameras: re-ranked distances stay those of all images.
    """
    camera = trial.stored.camera
    mine, theirs = camera[trial.probes], camera[trial.gallery]
    ranks: dict[tuple[int, int], list[Ranks]] = defaultdict(list)
    start = 0
    for distances in trial.distances():
        block = slice(start, start + len(distances))
        start += len(distances)
        labels = trial.probe_labels[block]
        for a, b in itertools.product(np.unique(mine[block]).tolist(), np.unique(theirs).tolist()):
            if a != b:
                rows, columns = mine[block] == a, theirs == b
                part = distances[np.ix_(rows, columns)]
                ranks[a, b] += metrics.positive_ranks(
                    part, labels[rows], trial.gallery_labels[columns]
                )
    for pair in sorted(ranks):
        if any(len(r) for r in ranks[pair]):
            yield pair, metrics.per_probe(ranks[pair]).summary().mAP


def _require_whole(gallery: Gallery) -> None:
    run = gallery.catalog.runs.last()
    pending = gallery.catalog.embeddings.count(gallery.encoder_id, State.PENDING, SPLITS)
    if pending or (run is not None and run.finished is None):
        waiting = f": {pending} images wait for their vectors" if pending else ""
        raise IncompleteGallery(
            f"the gallery is half ingested{waiting}",
            hint="Let the ingest end, or run the same ingest again to go on where it stopped.",
        )


def _require(gallery: Gallery, split: Split, rows: Rows, what: str) -> None:
    if len(rows):
        return
    counts = [row for row in gallery.catalog.images.counts() if row.state == State.INDEXED]
    mine = gallery.catalog.encoder_fingerprint(gallery.encoder_id)
    others = {row.encoder[:8] for row in counts if row.split == split and row.encoder != mine}
    here = ", ".join(sorted({row.split for row in counts if row.encoder == mine}))
    raise EmptyGallery(
        f"the gallery holds no {what}"
        + (f" from the encoder {gallery.encoder_name}" if others else ""),
        hint=f"Encoder {', '.join(sorted(others))} has that split; queries and gallery must be of "
        "one encoder: ingest both with the same --encoder."
        if others
        else f"Stored splits: {here}. Ingest the {split} split too, from a Market-1501 folder or "
        "from a CSV with the columns path, split, camera, identity.",
    )
