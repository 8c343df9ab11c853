"""The Market-1501 protocol over the stored vectors."""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from reidsearch import names
from reidsearch.documents.evaluations import EvaluationDocument, evaluation_document
from reidsearch.errors import EmptyGallery
from reidsearch.evaluation.details import Details, Gathered
from reidsearch.evaluation.trial import SPLITS, Trial
from reidsearch.evaluation.vectors import of_trial
from reidsearch.learning import calibrate
from reidsearch.ranking import metrics
from reidsearch.ranking.metrics import PerProbe, Ranks, Scores
from reidsearch.ranking.ranking import Expanded, Ranking
from reidsearch.times import Zone
from reidsearch.types import UNKNOWN, Distances, Ids, Split
from reidsearch.vectors.collection import Collection
from reidsearch.views import plots, report


@dataclass(frozen=True)
class Evaluation:
    """``queries`` are the probes that count: those with a positive. ``gallery`` leaves out junk,
    and the ``unlabelled`` images whose identity is not known; ``queries_of_nobody`` are the stored
    ones without an identity to ask for: none known, 0 or -1. ``camera_pairs`` is mAP by (probe
    camera, gallery camera), where it was asked for; ``other_cameras`` are the numbers with all of
    each probe's own camera ruled out, where transit times were used. ``seconds`` has the time spent
    on each step. ``datasets`` are the names of those that were measured on. ``probe_ids``,
    ``probe_paths`` (in their data sets), ``per_probe`` and ``ranks`` (0-based, of the positives)
    are of all probes, in one order; ``details`` is what a report needs, where that was asked for.
    In a notebook it shows as a table."""

    scores: Scores
    queries: int
    queries_without_positive: int
    queries_of_nobody: int
    gallery: int
    unlabelled: int
    multi_query: bool
    ranking: Ranking
    camera_pairs: dict[tuple[str, str], float]
    other_cameras: Scores | None
    encoder: str
    datasets: tuple[str, ...]
    seconds: dict[str, float]
    probe_ids: Ids = field(repr=False)
    probe_paths: list[str] = field(repr=False)
    per_probe: PerProbe = field(repr=False)
    ranks: list[Ranks] = field(repr=False)
    details: Details | None = field(default=None, repr=False)

    @property
    def mAP(self) -> float:  # noqa: N802 - the field writes it so
        """Mean of the plain average precision, a fraction."""
        return self.scores.mAP

    @property
    def mINP(self) -> float:  # noqa: N802
        """Mean inverse negative penalty, a fraction."""
        return self.scores.mINP

    @property
    def cmc(self) -> dict[int, float]:
        """Rank -> share of the probes with a right hit within it."""
        return self.scores.cmc

    @property
    def title(self) -> str:
        """How the gallery was ranked, in a few words."""
        first = "multi-query" if self.multi_query else "single query"
        return ", ".join((first, *self.ranking.words))

    def numbers(self) -> list[tuple[str, float]]:
        """The scores under the names that people read."""
        return [
            *((f"Rank-{rank}", value) for rank, value in self.scores.cmc.items()),
            ("mAP", self.scores.mAP),
            ("mAP (trapezoid)", self.scores.mAP_trapezoid),
            ("mINP", self.scores.mINP),
        ]

    def document(self) -> EvaluationDocument:
        """As a JSON document."""
        return evaluation_document(self)

    def report(self, folder: str | Path) -> Path:
        """Write report.html with plots and contact sheets to a folder; returns the page's path.

        Raises ValueError where the evaluation was made without ``details``, UsageError where
        matplotlib is missing.
        """
        return report.write([self], Path(folder))

    def _repr_html_(self) -> str:
        return report.table(self)


def evaluate(
    collection: Collection,
    *,
    multi_query: bool = False,
    rerank: bool = False,
    expand: bool = False,
    camera_means: bool = False,
    spatio_temporal: bool = False,
    camera_pairs: bool = False,
    details: bool = False,
    zone: Zone = None,
) -> Evaluation:
    """Rank the stored gallery for every stored probe: single query, cosine distance.

    ``multi_query`` replaces a probe's vector by the mean of its person's multi-query images from
    its camera, where there are some. ``rerank`` re-ranks by k-reciprocal neighbours among probes
    and gallery without junk. ``expand`` compares vectors that carry their neighbours in the
    gallery, which transit times help to choose where these are used. ``camera_means`` takes out of
    all vectors what each camera adds, learned from the unlabelled gallery; expanded ones are
    without it anyhow. ``spatio_temporal`` adds the
    weighted log-likelihood ratio of the time between two sightings to their score; images of the
    probe's camera keep theirs. ``camera_pairs`` also ranks each camera's gallery images alone for
    each camera's probes. ``details`` also gathers what a report shows, with times in ``zone``.
    Whatever is asked for, every distance is made once.

    Raises EmptyGallery where there are no labelled probes, no gallery, or no probe with a
    positive; IncompleteGallery where an ingest has not ended; UnknownCamera where a camera is not
    known; NotCalibrated where transit times are asked for and not learned; UsageError where a
    report's plots could not be drawn.
    """
    if details:
        plots.require()
    started = time.perf_counter()
    trial = Trial.of(collection, multi_query=multi_query)
    expanded = Expanded.NOT
    if expand:
        expanded = Expanded.TIMES if spatio_temporal else Expanded.APPEARANCE
    ranking = calibrate.ranking(
        collection, spatio_temporal=spatio_temporal, rerank=rerank, expanded=expanded
    )
    ranking = replace(ranking, camera_means=camera_means or expand)
    loaded = time.perf_counter()

    probes, others = trial.probe_labels, trial.gallery_labels
    ranks: list[Ranks] = []
    elsewhere: list[Ranks] = []
    pairs = _CameraPairs(trial, _labels(collection)) if camera_pairs else None
    gathered = Gathered(trial, ranking) if details else None
    start = 0
    seen = trial.seen(ranking)
    vectors = of_trial(collection, trial, ranking)
    compared = time.perf_counter()
    for distances in ranking.distances(*vectors, seen=seen):
        rows = slice(start, start + len(distances))
        start = rows.stop
        ranks += metrics.positive_ranks(distances, probes[rows], others)
        if spatio_temporal:
            elsewhere += metrics.positive_ranks(
                distances, probes[rows], others, other_cameras_only=True
            )
        if pairs is not None:
            pairs.add(distances, rows)
        if gathered is not None:
            gathered.add(distances, rows)
    per_probe = metrics.per_probe(ranks)
    try:
        scores = per_probe.summary()
    except ValueError as error:
        raise EmptyGallery(
            f"there is nothing to evaluate: {error}",
            hint="A probe needs a gallery image of the same identity from another camera.",
        ) from None
    split, identity = trial.stored.split, trial.stored.labels.identity
    return Evaluation(
        scores=scores,
        queries=scores.queries,
        queries_without_positive=len(probes) - scores.queries,
        queries_of_nobody=int((split == Split.QUERY).sum()) - len(probes),
        gallery=len(others),
        unlabelled=int(((split == Split.GALLERY) & (identity == UNKNOWN)).sum()),
        multi_query=multi_query,
        ranking=ranking,
        camera_pairs={} if pairs is None else pairs.summary(),
        other_cameras=metrics.per_probe(elsewhere).summary() if elsewhere else None,
        encoder=collection.encoder_name,
        datasets=_datasets(collection),
        seconds={
            "load": loaded - started,
            **({"expand": compared - loaded} if expand else {}),
            "rank": time.perf_counter() - compared,
        },
        probe_ids=trial.probe_ids,
        probe_paths=trial.probe_paths,
        per_probe=per_probe,
        ranks=ranks,
        details=None if gathered is None else gathered.details(per_probe, ranks, collection, zone),
    )


def _datasets(collection: Collection) -> tuple[str, ...]:
    """The names of those whose queries and gallery images take part."""
    counts = collection.catalog.images.counts()
    mine = (row for row in counts if row.encoder == collection.fingerprint)
    return tuple(dict.fromkeys(row.dataset for row in mine if row.split in SPLITS))


class _CameraPairs:
    """mAP of one camera's probes in the gallery of one other camera, where there is a positive.

    Only the ranking is narrowed to two cameras: re-ranked distances stay those of all images.
    """

    def __init__(self, trial: Trial, labels: Mapping[int, str]) -> None:
        camera = trial.stored.labels.camera
        self._trial = trial
        self._labels = labels
        self._mine, self._theirs = camera[trial.probes], camera[trial.gallery]
        self._ranks: dict[tuple[int, int], list[Ranks]] = defaultdict(list)

    def add(self, distances: Distances, rows: slice) -> None:
        mine, labels = self._mine[rows], self._trial.probe_labels[rows]
        cameras = np.unique(mine).tolist(), np.unique(self._theirs).tolist()
        for a, b in itertools.product(*cameras):
            if a != b:
                of_a, of_b = mine == a, self._theirs == b
                part = distances[np.ix_(of_a, of_b)]
                self._ranks[a, b] += metrics.positive_ranks(
                    part, labels[of_a], self._trial.gallery_labels[of_b]
                )

    def summary(self) -> dict[tuple[str, str], float]:
        found = {
            (self._labels[a], self._labels[b]): metrics.per_probe(ranks).summary().mAP
            for (a, b), ranks in self._ranks.items()
            if any(len(r) for r in ranks)
        }
        pairs = sorted(found, key=lambda pair: tuple(map(names.order, pair)))
        return {pair: found[pair] for pair in pairs}


def _labels(collection: Collection) -> dict[int, str]:
    """What each camera is called: its name, and its site where two have a camera of that name."""
    cameras = collection.catalog.places.cameras()
    count = Counter(one.name for one in cameras)
    return {
        one.id: one.name if count[one.name] == 1 else f"{one.site}/{one.name}" for one in cameras
    }
