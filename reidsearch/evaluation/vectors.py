"""The vectors of probes and gallery images that an evaluation compares."""

import numpy as np

from reidsearch.evaluation.trial import Trial
from reidsearch.learning import expand
from reidsearch.ranking import camera_means, expansion
from reidsearch.ranking.camera_means import CameraMeans
from reidsearch.ranking.expansion import Pool
from reidsearch.ranking.ranking import Ranking
from reidsearch.types import Ids, Kind, Split, Vectors
from reidsearch.vectors.collection import Collection


def of_trial(collection: Collection, trial: Trial, ranking: Ranking) -> tuple[Vectors, Vectors]:
    """Those of probes (Q x D) and gallery (G x D) that a ranking compares."""
    if ranking.is_expanded:
        return expanded(collection, trial, Ranking(ranking.calibration))
    if ranking.camera_means:
        return without_means(trial)
    return trial.vectors[trial.probes], trial.vectors[trial.gallery]


def expanded(collection: Collection, trial: Trial, ranking: Ranking) -> tuple[Vectors, Vectors]:
    """The probes' vectors (Q x D) and those of the gallery (G x D), expanded as ``ranking`` chooses
    neighbours: the stored ones, where they are of that kind. Junk is among the neighbours, as
    nothing but a label tells it from the rest."""
    stored = trial.stored
    rows = np.flatnonzero(stored.split == Split.GALLERY)
    place, seen = expand.placed(stored, collection, ranking)
    if expand.stored_kind(collection) is ranking.neighbours:
        probes, _ = _adapted(trial, rows[:0], expand.means(collection))
        vectors = collection.vectors(stored.ids[rows], kind=Kind.EXPANDED)
    else:
        probes, alone = _adapted(trial, rows, _learned(trial, rows))
        found = expansion.nearest(
            Pool(alone, place[rows], seen.at(rows), ranking),
            np.arange(len(rows)),
            k=expand.SETTINGS.stored,
        )
        vectors = expansion.carrying(alone, found, alone, expand.SETTINGS)
    pool = Pool(vectors, place[rows], seen.at(rows), ranking)
    probes = expand.looked_again(probes, place[trial.probes], seen.at(trial.probes), pool)
    return probes, vectors[np.searchsorted(rows, trial.gallery)]


def without_means(trial: Trial) -> tuple[Vectors, Vectors]:
    """The probes' vectors (Q x D) and those of the gallery (G x D), less what their cameras add, by
    the means of this very gallery, junk among it."""
    rows = np.flatnonzero(trial.stored.split == Split.GALLERY)
    probes, vectors = _adapted(trial, rows, _learned(trial, rows))
    return probes, vectors[np.searchsorted(rows, trial.gallery)]


def _learned(trial: Trial, rows: Ids) -> CameraMeans:
    return camera_means.learn(trial.vectors[rows], trial.stored.labels.camera[rows])


def _adapted(trial: Trial, rows: Ids, known: CameraMeans) -> tuple[Vectors, Vectors]:
    """The vectors of probes, and of these rows."""
    mine, theirs = (
        known.adapted(trial.vectors[of], trial.stored.labels.camera[of])
        for of in (trial.probes, rows)
    )
    return mine, theirs
