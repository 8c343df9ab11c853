"""What a report of an evaluation shows beside the numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reidsearch import names
from reidsearch.evaluation.trial import Rows, Trial
from reidsearch.ranking.metrics import PerProbe, Ranks
from reidsearch.ranking.ranking import Ranking
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.search.answer import Answer, Hit
from reidsearch.times import Zone
from reidsearch.types import Distances
from reidsearch.vectors.collection import Collection

SHOWN = 10  # worst and best probes, and hits of each


@dataclass(frozen=True)
class Details:
    """The scores of pairs from two cameras, and the SHOWN
    ``worst`` and ``best`` probes by AP with their nearest images, the best ones' up to their last
    match. Times are shown in ``zone``."""

    pair_scores: ScoreDistribution
    worst: tuple[Answer, ...]
    best: tuple[Answer, ...]
    zone: Zone = None


class Gathered:
    """The scores of all probes with all gallery images from other cameras, and each probe's SHOWN
    nearest in its own gallery, by the ranking's own scores."""

    def __init__(self, trial: Trial, ranking: Ranking) -> None:
        self._trial = trial
        self._ranking = ranking
        self._scores = ScoreDistribution.of([])
        self._nearest: list[Rows] = []  # positions in the gallery, Q x SHOWN in all
        self._distances: list[Distances] = []  # theirs; infinite where a probe's gallery has ended

    def add(self, distances: Distances, rows: slice) -> None:
        """Take in 1 - score of the probes at these rows (B x G)."""
        probes, gallery = self._trial.probe_labels[rows], self._trial.gallery_labels
        same = probes.identity[:, None] == gallery.identity
        elsewhere = probes.camera[:, None] != gallery.camera
        pairs = (1 - distances, same & elsewhere, ~same & elsewhere)
        self._scores += ScoreDistribution.of([pairs])
        own = np.where(same & ~elsewhere, np.inf, distances)
        nearest = np.argsort(own, axis=1, kind="stable")[:, :SHOWN]
        self._nearest.append(nearest)
        self._distances.append(np.take_along_axis(own, nearest, axis=1))

    def details(
        self, per_probe: PerProbe, ranks: list[Ranks], collection: Collection, zone: Zone
    ) -> Details:
        """What was gathered, of the probes that ``per_probe`` measures; ``ranks`` are the 0-based
        ranks of their positives."""
        order = np.argsort(per_probe.ap, kind="stable")
        order = order[per_probe.counted[order]]
        # What stands behind a probe's last match is nobody's mistake.
        last = {probe: int(ranks[probe][-1]) + 1 for probe in order[::-1][:SHOWN].tolist()}
        return Details(
            self._scores,
            worst=self._answers(dict.fromkeys(order[:SHOWN].tolist(), SHOWN), collection, zone),
            best=self._answers(last, collection, zone),
            zone=zone,
        )

    def _answers(
        self, most: Mapping[int, int], collection: Collection, zone: Zone
    ) -> tuple[Answer, ...]:
        """The nearest images of these probes, no more of each than told."""
        trial = self._trial
        probes = np.array(list(most), dtype=np.int64)
        nearest = np.concatenate(self._nearest)[probes]
        scores = 1 - np.concatenate(self._distances)[probes]
        ids = trial.stored.ids
        wanted = np.concatenate([trial.probes[probes], trial.gallery[nearest.reshape(-1)]])
        images = collection.catalog.images.describe(
            collection.encoder_id, np.unique(ids[wanted]).tolist()
        )
        answers = []
        for row, (probe, count) in enumerate(most.items()):
            own = images[int(ids[trial.probes[probe]])]
            found = [
                Hit.of(images[int(ids[trial.gallery[at]])], rank=rank, score=score)
                for rank, (at, score) in enumerate(
                    zip(nearest[row].tolist(), scores[row].tolist(), strict=True), start=1
                )
                if np.isfinite(score)
            ]
            answers.append(
                Answer(
                    query=str(own.file),
                    camera=names.numbered(own.camera),
                    identity=names.numbered(own.identity),
                    site=own.site,
                    hits=tuple(found[:count]),
                    zone=zone,
                    ranking=self._ranking,
                )
            )
        return tuple(answers)
