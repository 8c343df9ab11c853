"""Expanded vectors: made, kept current, and a probe's own.

The gallery's images carry their nearest neighbours of the same site, people and cameras unasked.
Where transit times are known, these help to choose them. Before, what each camera adds to its
pictures is taken out (``ranking/camera_means.py``), here and from a probe. A probe then takes its
nearest among the expanded vectors, as Arandjelovic and Zisserman do, which is one search more.

What is stored is what a gallery with the same images would be given from scratch, with the same
camera means, whatever was ingested on the way: lists of neighbours are kept beside, so that a
change touches those alone that it concerns. Camera means are kept as they were learned. They are
learned anew, and all vectors made anew, by ``build`` and by ``renew`` (so whoever calibrates or
forgets depends on the images alone), whenever transit times were learned anew, and where a camera
has outgrown its own; what was forgotten is in none. In between they are those of the images of
then: a camera that came later keeps its vectors as they are until it has PRIOR images. Vectors
count as current only from the moment when all are stored; until then searches go without.

Plain vectors stay as they are: a store compares them without knowing of cameras, and taking a mean
out changes their lengths, so that no plain cosine search would do.
"""

import logging
from dataclasses import replace

import numpy as np

from reidsearch import faults
from reidsearch.catalog import ExpandedPart, StoredImages
from reidsearch.errors import NotCalibrated
from reidsearch.hashes import checksums
from reidsearch.learning import basis, calibrate, carried, increment
from reidsearch.learning.basis import Basis
from reidsearch.learning.carried import Carried
from reidsearch.ranking import expansion
from reidsearch.ranking.arrays import groups, taken
from reidsearch.ranking.calibration import Calibration, Source
from reidsearch.ranking.camera_means import CameraMeans
from reidsearch.ranking.expansion import Neighbours, Pool, Settings
from reidsearch.ranking.ranking import EXPANDED_SHARE, Expanded, Ranking, Sighted
from reidsearch.ranking.rough import Rough
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.types import Ids, Kind, Split, Vectors
from reidsearch.vectors.collection import Collection

log = logging.getLogger(__name__)

# Chosen on people held out from training, and on cameras that nobody trained on (train/RESULTS.md).
SETTINGS = Settings(stored=8, probe=3, alpha=3.0)
WRITTEN = 2048  # vectors made and stored together
RECORDED = 64  # parts recorded together: at 300,000 images, 17 MB


def learn(collection: Collection, *, source: Source | None = None) -> Calibration:
    """Calibrate, and make the vectors that this chooses neighbours for. Raises as
    ``calibrate.calibrate`` does."""
    learned = calibrate.calibrate(collection, source=source)
    build(collection)
    collection.store.optimise()
    return replace(learned, expanded=scores(collection))


def stored_kind(collection: Collection) -> Expanded:
    """Of which kind the stored vectors are; Expanded.NOT where there are none that are current."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    if record is None or not record.current or basis.of(record) is None:
        return Expanded.NOT
    return Expanded(record.kind)


def means(collection: Collection) -> CameraMeans:
    """The camera means that the stored vectors were made with."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    found = None if record is None else basis.of(record)
    return CameraMeans.nothing() if found is None else found.means


def generation(collection: Collection) -> int:
    """A number that is another whenever expanded vectors may have changed."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    return 0 if record is None else record.generation


def keep_current(collection: Collection) -> int:
    """Bring the expanded vectors up to date, where there are some; how many were written."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    if record is None:
        return 0
    ranking, known = best_ranking(collection), basis.of(record)
    if known is None or record.form != _form(ranking, known):
        return _make(collection, ranking)
    if record.current:
        return 0
    if record.cosines is None and calibrate.known(collection) is not None:
        return _make(collection, ranking, known)  # as it was cut short before it learned of scores
    return _catch_up(collection, ranking, known)


def build(collection: Collection) -> int:
    """Learn camera means and cells, and make expanded vectors, where there are none or old ones;
    how many were written."""
    return _make(collection, best_ranking(collection))


def renew(collection: Collection) -> int:
    """The same where there are some, current or not."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    return 0 if record is None else build(collection)


def best_ranking(collection: Collection) -> Ranking:
    """By which neighbours are chosen: with transit times, where they were learned."""
    try:
        return calibrate.ranking(collection, spatio_temporal=True, rerank=False)
    except NotCalibrated:
        return Ranking()


def looked_again(probes: Vectors, place: Ids, seen: Sighted, pool: Pool) -> Vectors:
    """Probes (Q x D) with their nearest from other cameras in them, among a pool of expanded
    vectors."""
    found = expansion.nearest_elsewhere(pool, probes, place, seen, k=SETTINGS.probe)
    return expansion.carrying(probes, found, pool.vectors, SETTINGS)


def placed(stored: StoredImages, collection: Collection, ranking: Ranking) -> tuple[Ids, Sighted]:
    """At which site, and where and when all of these images were taken."""
    return carried.sites(collection, stored.dataset), carried.seen_by(stored, ranking)


def _catch_up(collection: Collection, ranking: Ranking, known: Basis) -> int:
    """Bring to what would be made from scratch now those that a change concerns."""
    expansions, encoder_id = collection.catalog.expansions, collection.encoder_id
    ids = collection.catalog.images.indexed(encoder_id, Split.GALLERY)
    there, stale = expansions.standing(encoder_id)
    width = 0 if known.cells is None else known.cells.looked_in
    before = Carried.of_bytes(
        expansions.parts(encoder_id).values(), k=SETTINGS.stored, looked_in=width
    )
    new = np.union1d(_without(ids, there), _without(ids, before.ids))
    due = np.union1d(new, np.intersect1d(ids, stale, assume_unique=True))
    if 2 * len(due) > len(ids):  # which takes less from scratch
        return _make(collection, ranking, known)
    gone = _without(there, ids)
    _let_go(collection, gone)
    lost = np.union1d(due, _without(before.ids, ids))
    found = increment.find(collection, ranking, known, before, due=due, lost=lost)
    if found is None:
        return _make(collection, ranking)
    changed = found.now.ids[found.changed]
    # Killed from here on, the next one must not take for old what was written over.
    expansions.outdate(encoder_id, changed.tolist())
    faults.reach("expansion begun")
    sums = _write(collection, changed, found.own, found.lists, found.vectors)
    expansions.finish(encoder_id, sums, gone=gone.tolist(), parts=found.parts)
    faults.reach("expanded recorded")
    return len(changed)


def _make(collection: Collection, ranking: Ranking, known: Basis | None = None) -> int:
    """Make all from scratch, with a ``known`` basis, where nothing has outgrown it."""
    expansions, encoder_id = collection.catalog.expansions, collection.encoder_id
    stored, vectors = collection.load([Split.GALLERY])
    camera = stored.labels.camera
    if known is None or known.outgrown(camera):
        known = basis.learn(vectors, camera)
    expansions.outdate(encoder_id, [])
    _let_go(collection, _without(expansions.standing(encoder_id)[0], stored.ids))
    means, cells = known.to_bytes()
    expansions.begin(encoder_id, _form(ranking, known), means=means, cells=cells)
    faults.reach("expansion begun")
    known.means.adapted(vectors, camera, out=vectors)
    pool = Pool(vectors, *placed(stored, collection, ranking), ranking)
    division, every = known.divide(vectors), np.arange(len(stored))
    lists = expansion.nearest(pool, every, k=SETTINGS.stored, division=division)
    sums = _write(collection, stored.ids, vectors, lists, vectors)
    _keep(collection, Carried.of(stored, ranking, division, lists), vectors)
    expansions.finish(encoder_id, sums, gone=[])
    faults.reach("expanded recorded")
    _learn_scores(collection, stored, pool)
    return len(stored)


def _write(
    collection: Collection, ids: Ids, own: Vectors, lists: Neighbours, vectors: Vectors
) -> dict[int, int]:
    """Store the vectors ``own`` (M x D) of these images (M) with their neighbours among ``vectors``
    in them; id -> its checksum."""
    sums: dict[int, int] = {}
    for start in range(0, len(ids), WRITTEN):
        rows = np.arange(start, min(start + WRITTEN, len(ids)))
        made = expansion.carrying(own[rows], lists[rows], vectors, SETTINGS)
        collection.store.write_expanded(ids[rows], made)
        faults.reach("expanded written")
        sums |= zip(ids[rows].tolist(), checksums(made), strict=True)
    log.info("Expanded %s vectors.", f"{len(ids):,}")
    return sums


def _keep(collection: Collection, carried: Carried, vectors: Vectors) -> None:
    """Record what the next change will need of all images, and of their vectors (N x D)."""
    parts = list(groups(carried.parts).items())
    for start in range(0, len(parts), RECORDED):
        some = []
        for part, rows in parts[start : start + RECORDED]:
            rough = Rough.of(vectors[rows])
            images = carried[rows].copied(rough).to_bytes()
            some.append(ExpandedPart(part=part, images=images, copies=rough.codes.tobytes()))
        collection.catalog.expansions.save_parts(collection.encoder_id, some)


def _learn_scores(collection: Collection, stored: StoredImages, pool: Pool) -> None:
    """Count what scores come up between images of one person and of two, as ``calibrate`` does it
    for plain vectors, where that has run."""
    learned = calibrate.known(collection)
    if learned is None or not len(stored):
        return
    rows = calibrate.searched_rows(stored, known=learned.by_identity)
    sampled = calibrate.Sampled.of(stored, rows, known=learned.by_identity)
    sample = sampled.sample
    expanded = replace(pool, vectors=collection.vectors(stored.ids, kind=Kind.EXPANDED))
    probes = looked_again(pool.vectors[sample], pool.place[sample], pool.seen.at(sample), expanded)
    gallery = taken(expanded.vectors, sampled.every)
    cosines, scores = (
        sampled.distribution(
            probes, gallery, model=learned.transit, weight=weight, by_times=learned.by_times
        )
        for weight in (0.0, EXPANDED_SHARE * learned.weight)
    )
    collection.catalog.expansions.save_scores(
        collection.encoder_id, cosines=cosines.to_bytes(), scores=scores.to_bytes()
    )


def scores(collection: Collection) -> tuple[ScoreDistribution, ScoreDistribution] | None:
    """What scores come up with expanded vectors, without and with transit times; None where nothing
    tells."""
    record = collection.catalog.expansions.of(collection.encoder_id)
    if record is None or record.cosines is None or record.scores is None:
        return None
    found = (record.cosines, record.scores)
    cosines, with_times = (ScoreDistribution.from_bytes(data) for data in found)
    return cosines, with_times


def _without(ids: Ids, others: Ids) -> Ids:
    """Those that are not among others; both have each once."""
    found: Ids = np.setdiff1d(ids, others, assume_unique=True)
    return found


def _let_go(collection: Collection, gone: Ids) -> None:
    """What is no gallery image any more, and still stored, carries nobody."""
    if len(gone):
        ids, vectors = collection.store.retrieve(gone.tolist())
        if len(ids):
            collection.store.write_expanded(ids, vectors)


def _form(ranking: Ranking, known: Basis) -> str:
    """A text that is another wherever the same images would be expanded otherwise."""
    learned = "" if ranking.calibration is None else f" {ranking.calibration.learned!r}"
    looked = "" if known.cells is None else f" in {known.cells.looked_in}"
    how = f"{ranking.neighbours} {SETTINGS.stored} {SETTINGS.alpha:g}{looked}{learned}"
    return f"{how} {basis.digest(*known.to_bytes())}"
