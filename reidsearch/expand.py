"""Expanded vectors: made, kept current, and a probe's own.

The gallery's images carry their nearest neighbours of the same site, people and cameras unasked.
Where transit times are known, these help to choose them. What is stored is what a gallery with the
same images would be given from scratch, whatever was ingested or forgotten on the way: lists of
neighbours are kept beside, so that a change touches those alone that it concerns. They count as
current only from the moment when all are stored; until then searches go without.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reidsearch import calibrate, faults
from reidsearch.catalog import ExpandedRecord, StoredImages
from reidsearch.collection import Collection
from reidsearch.errors import NotCalibrated
from reidsearch.hashes import checksums
from reidsearch.ranking import expansion
from reidsearch.ranking.calibration import Calibration, Source
from reidsearch.ranking.expansion import NONE, Neighbours, Pool, Settings
from reidsearch.ranking.ranking import EXPANDED_SHARE, Expanded, Ranking, Sighted
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.trial import Trial
from reidsearch.types import Ids, Kind, Split, Vectors

log = logging.getLogger(__name__)

# Chosen on people held out from training (train/RESULTS.md).
SETTINGS = Settings(stored=8, probe=3, alpha=3.0)
WRITTEN = 2048  # vectors made and stored together


def learn(collection: Collection, *, source: Source | None = None) -> Calibration:
    """Calibrate, and make the vectors that this chooses neighbours for. Raises as
    ``calibrate.calibrate`` does."""
    learned = calibrate.calibrate(collection, source=source)
    build(collection)
    return replace(learned, expanded=scores(collection))


def stored_kind(collection: Collection) -> Expanded:
    """Of which kind the stored vectors are; Expanded.NOT where there are none that are current."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    if record is None or not record.current:
        return Expanded.NOT
    return Expanded(record.kind)


def generation(collection: Collection) -> int:
    """A number that is another whenever expanded vectors may have changed."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    return 0 if record is None else record.generation


def keep_current(collection: Collection) -> int:
    """Bring the expanded vectors up to date, where there are some; how many were written."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    if record is None:
        return 0
    ranking = best_ranking(collection)
    if record.current and record.form == _form(ranking):
        return 0
    return _make(collection, ranking)


def build(collection: Collection) -> int:
    """Make expanded vectors, where there are none or old ones; how many were written."""
    return _make(collection, best_ranking(collection))


def best_ranking(collection: Collection) -> Ranking:
    """By which neighbours are chosen: with transit times, where they were learned."""
    try:
        return calibrate.ranking(collection, spatio_temporal=True, rerank=False)
    except NotCalibrated:
        return Ranking()


def of_trial(collection: Collection, trial: Trial, ranking: Ranking) -> tuple[Vectors, Vectors]:
    """The probes' vectors (Q x D) and those of the gallery (G x D), expanded as ``ranking`` chooses
    neighbours: the stored ones, where they are of that kind. Junk is among the neighbours, as
    nothing but a label tells it from the rest."""
    stored = trial.stored
    rows = np.flatnonzero(stored.split == Split.GALLERY)
    place, seen = _placed(stored, collection, ranking)
    pool = Pool(trial.vectors[rows], place[rows], _of(seen, rows), ranking)
    probes = trial.vectors[trial.probes]
    found = expansion.nearest_elsewhere(
        pool, probes, place[trial.probes], _of(seen, trial.probes), k=SETTINGS.probe
    )
    probes = expansion.carrying(probes, found, pool.vectors, SETTINGS)
    wanted = np.searchsorted(rows, trial.gallery)
    if stored_kind(collection) is ranking.neighbours:
        return probes, _stored_vectors(collection, stored.ids[trial.gallery])
    carried = expansion.nearest(pool, wanted, k=SETTINGS.stored)
    return probes, expansion.carrying(pool.vectors[wanted], carried, pool.vectors, SETTINGS)


def _placed(stored: StoredImages, collection: Collection, ranking: Ranking) -> tuple[Ids, Sighted]:
    """At which site, and where and when all of these images were taken."""
    site = {one.id: one.site for one in collection.catalog.places.datasets()}
    sites = sorted(set(site.values()))
    place = np.array([sites.index(site[id]) for id in stored.dataset.tolist()], dtype=np.int64)
    times = np.full(len(stored), np.nan)
    if ranking.calibration is not None:
        times = stored.times(ranking.calibration.transit.clock)
    return place, Sighted(stored.labels.camera, times)


def _of(seen: Sighted, rows: Ids) -> Sighted:
    return Sighted(seen.camera[rows], seen.times[rows])


def _make(collection: Collection, ranking: Ranking) -> int:
    catalog, encoder_id, form = collection.catalog, collection.encoder_id, _form(ranking)
    catalog.expansions.begin(encoder_id, form)
    stored, vectors = collection.load([Split.GALLERY])
    pool = Pool(vectors, *_placed(stored, collection, ranking), ranking)
    made_of = _made_of(stored, collection)
    before = catalog.expansions.all(encoder_id)
    known, valid, settled = _known(before, stored.ids, made_of, k=SETTINGS.stored)
    alone = np.flatnonzero(~settled)
    fresh = expansion.nearest(pool, alone, k=SETTINGS.stored)
    touched, grown = expansion.grown(pool, known, np.flatnonzero(~valid), but=alone)
    for rows, found in ((alone, fresh), (touched, grown)):
        known.nearest[rows], known.scores[rows] = found.nearest, found.scores
    changed = np.sort(np.concatenate([alone, touched]))
    records = []
    for start in range(0, len(changed), WRITTEN):
        rows = changed[start : start + WRITTEN]
        made = expansion.carrying(vectors[rows], known[rows], vectors, SETTINGS)
        collection.store.write_expanded(stored.ids[rows], made)
        faults.reach("expanded written")
        records += [
            ExpandedRecord(
                image_id=int(stored.ids[row]),
                made_of=int(made_of[row]),
                neighbours=_to_bytes(known.nearest[row], known.scores[row], stored.ids),
                checksum=checksum,
            )
            for row, checksum in zip(rows.tolist(), checksums(made), strict=True)
        ]
    gone = {one.image_id for one in before} - set(stored.ids.tolist())
    _let_go(collection, gone)
    catalog.expansions.finish(encoder_id, records, gone=sorted(gone))
    faults.reach("expanded recorded")
    record = catalog.expansions.of(encoder_id)
    if record is not None and record.cosines is None:
        _learn_scores(collection, stored, pool)
    log.info("Expanded %d vectors.", len(changed))
    return len(changed)


def _learn_scores(collection: Collection, stored: StoredImages, pool: Pool) -> None:
    """Count what scores come up between images of one person and of two, as ``calibrate`` does it
    for plain vectors, where that has run."""
    learned = calibrate.known(collection)
    if learned is None or not len(stored):
        return
    rows = calibrate.searched_rows(stored, known=learned.by_identity)
    sampled = calibrate.Sampled.of(stored, rows, known=learned.by_identity)
    sample = sampled.sample
    found = expansion.nearest_elsewhere(
        pool, pool.vectors[sample], pool.place[sample], _of(pool.seen, sample), k=SETTINGS.probe
    )
    probes = expansion.carrying(pool.vectors[sample], found, pool.vectors, SETTINGS)
    gallery = _stored_vectors(collection, stored.ids[sampled.every])
    cosines, scores = (
        sampled.distribution(
            probes, gallery, model=learned.transit, weight=weight, by_times=learned.by_times
        )
        for weight in (0.0, EXPANDED_SHARE * learned.weight)
    )
    collection.catalog.expansions.save_scores(
        collection.encoder_id, cosines=cosines.to_bytes(), scores=scores.to_bytes()
    )


def _stored_vectors(collection: Collection, wanted: Ids) -> Vectors:
    """The stored expanded vectors of these images, whose ids ascend."""
    ids, vectors = collection.store.retrieve(wanted.tolist(), kind=Kind.EXPANDED)
    return vectors[np.argsort(ids)]


def scores(collection: Collection) -> tuple[ScoreDistribution, ScoreDistribution] | None:
    """What scores come up with expanded vectors, without and with transit times; None where nothing
    tells."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    if record is None or record.cosines is None or record.scores is None:
        return None
    found = (record.cosines, record.scores)
    cosines, with_times = (ScoreDistribution.from_bytes(data) for data in found)
    return cosines, with_times


def _known(
    before: Sequence[ExpandedRecord], ids: Ids, made_of: Ids, *, k: int
) -> tuple[Neighbours, NDArray[np.bool_], NDArray[np.bool_]]:
    """Each image's neighbours as they were; which of the images are as they were, and which of
    these have only such as neighbours."""
    known = expansion.nobody(len(ids), k)
    valid = np.zeros(len(ids), dtype=bool)
    if not before or not len(ids):
        return known, valid, valid.copy()
    place = _positions(np.array([one.image_id for one in before]), ids)
    then = np.array([NONE if one.made_of is None else one.made_of for one in before])
    kept = np.flatnonzero(place != NONE)
    kept = kept[made_of[place[kept]] == then[kept]]
    rows = place[kept]
    valid[rows] = True
    table = np.frombuffer(b"".join(before[at].neighbours for at in kept.tolist()), _entry(k))
    listed = table["ids"] != NONE
    nearest = _positions(table["ids"].reshape(-1), ids).reshape(-1, k)
    there = (nearest != NONE) & valid[nearest]
    known.nearest[rows], known.scores[rows] = nearest, table["scores"]
    settled = valid.copy()
    settled[rows] = (there == listed).all(axis=1)
    return known, valid, settled


def _positions(wanted: Ids, ids: Ids) -> Ids:
    """Where each of ``wanted`` is in ``ids``, which ascend; NONE where it is not."""
    place = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[place] == wanted, place, NONE)


def _entry(k: int) -> np.dtype[np.void]:
    return np.dtype([("ids", "<i8", (k,)), ("scores", "<f4", (k,))])


def _to_bytes(nearest: Ids, scores: Vectors, ids: Ids) -> bytes:
    entry = np.empty((), _entry(len(nearest)))
    entry["ids"] = np.where(nearest == NONE, NONE, ids[nearest])
    entry["scores"] = scores
    return entry.tobytes()


def _let_go(collection: Collection, gone: set[int]) -> None:
    """What is no gallery image any more, and still stored, carries nobody."""
    if gone:
        ids, vectors = collection.store.retrieve(sorted(gone))
        if len(ids):
            collection.store.write_expanded(ids, vectors)


def _form(ranking: Ranking) -> str:
    """A text that is another wherever the same images would be expanded otherwise."""
    learned = "" if ranking.calibration is None else f" {ranking.calibration.learned!r}"
    return f"{ranking.neighbours} {SETTINGS.stored} {SETTINGS.alpha:g}{learned}"


def _made_of(stored: StoredImages, collection: Collection) -> Ids:
    """Of each image a positive 63-bit integer that stands for all its expanded vector depends on,
    but its neighbours."""
    site = {one.id: one.site for one in collection.catalog.places.datasets()}
    sums = {
        one.image_id: one.checksum
        for one in collection.catalog.embeddings.all(collection.encoder_id)
    }
    columns = (
        stored.ids.tolist(),
        stored.dataset.tolist(),
        stored.labels.camera.tolist(),
        stored.sequence.tolist(),
        stored.frame.tolist(),
        stored.timestamp.tolist(),
    )
    numbers = []
    for id, dataset, *seen in zip(*columns, strict=True):
        told = f"{sums[id]} {site[dataset]!r} {seen}".encode()
        digest = hashlib.blake2b(told, digest_size=8).digest()
        numbers.append(int.from_bytes(digest, "big") >> 1)
    return np.array(numbers, dtype=np.int64)
