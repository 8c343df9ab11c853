"""Learn from a gallery what times between cameras and what scores say, and keep it in the catalog.

Transit times come from pairs of images of one person; the distributions of scores, from which
thresholds are read, from pairs of gallery images from two cameras. Where nobody is known, those
count as different people whose times make them so.

Among many images, matches are looked for in cells (``ranking/cells.py``), and the scores of fewer
images are counted, with all the others: a crowd is a rank among all. Both are kept beside.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from reidsearch.catalog import StoredImages
from reidsearch.catalog.records import CalibrationRecord
from reidsearch.errors import EmptyGallery, NotCalibrated, UsageError
from reidsearch.ranking import cells, scores, transit
from reidsearch.ranking.arrays import taken
from reidsearch.ranking.calibration import Calibration, Source
from reidsearch.ranking.cells import ALL_PAIRS_UP_TO, Pairing
from reidsearch.ranking.clock import FRAMES, Clock
from reidsearch.ranking.pairs import Pairs, known_pairs, mutual_pairs, mutual_pairs_in_cells
from reidsearch.ranking.ranking import Expanded, Ranking
from reidsearch.ranking.scores import CROWD_FROM, Crowds, ScoreDistribution
from reidsearch.ranking.transit import LEARNING, Learning, Transit
from reidsearch.types import DISTRACTOR, JUNK, Ids, Split, Vectors
from reidsearch.vectors.collection import Collection

SAMPLE = 2000  # gallery images whose scores to all others are counted
PAIRS = SAMPLE * ALL_PAIRS_UP_TO  # and the most of these, but that so many images count:
LEAST = 250
BLOCK = 256
SCORES = 1 << 24  # that are held at once, at most, and 64 bytes for each
# Pairs whose times are so much rarer among one person's than among strangers', as a natural
# logarithm, count as different people's where nobody is known; and how many of them it takes.
UNLIKELY = -1.0
ENOUGH = 1_000_000
GROWTH = 0.1  # of the images learned from, after which it is learned anew


def calibrate(
    collection: Collection, *, source: Source | None = None, learning: Learning = LEARNING
) -> Calibration:
    """Learn, and store in place of what was known.

    By default from the training split's identities, where it is stored, otherwise from the
    gallery's matches. Scores know identities only with Source.GALLERY: those of people that the
    encoder was trained on would say too much. Where no image has a time, scores are learned alone.
    Raises EmptyGallery where the source holds nothing, UsageError where images are not from two
    cameras, or times are known, and of no two images of one person from two cameras.
    """
    stored, vectors = collection.load([Split.TRAIN, Split.GALLERY])
    camera, identity = stored.labels.camera, stored.labels.identity
    if source is None:
        source = Source.TRAIN if _rows(stored, Source.TRAIN).any() else Source.MATCHES
    rows = _rows(stored, source)
    if not rows.any():
        raise EmptyGallery(
            f"there is nothing stored to calibrate from: no images for source {source}",
            hint="Ingest the training split ({split_train}), or {calibrate_matches}.",
        )
    pairing = None
    if source is Source.MATCHES:
        same, pairing = _matches(taken(vectors, np.flatnonzero(rows)), camera[rows])
    else:
        same = known_pairs(identity[rows], camera[rows])
    model = _transit(stored, rows, same, learning)

    known = source is Source.GALLERY
    searched = searched_rows(stored, known=known)
    if not searched.any():
        searched = rows
    if len(np.unique(camera[searched])) < 2:
        raise UsageError(
            "all images are from one camera, or of none it is known which: there is nothing to "
            "calibrate with",
            hint="Ingest images of another camera, or say which camera took them: by their names, "
            "their folders or a table.",
        )
    sampled = Sampled.of(stored, searched, known=known)
    cosines, with_times, weight = _distributions(sampled, vectors, model)
    learned = collection.catalog.learned.save_calibration(
        collection.encoder_id,
        source=source,
        images=int(rows.sum()),
        transit=model.to_bytes(),
        weight=weight,
        cosines=cosines.to_bytes(),
        scores=with_times.to_bytes(),
        pairing=pairing,
        sample=len(sampled.sample),
    )
    return Calibration(
        model,
        weight,
        source,
        int(rows.sum()),
        learned,
        cosines,
        with_times,
        pairing=pairing,
        sample=len(sampled.sample),
    )


def _matches(vectors: Vectors, camera: Ids) -> tuple[Pairs, Pairing]:
    """The pairs of images that are each other's nearest between two cameras, and among whom they
    were looked for."""
    pairing = Pairing.of(len(vectors))
    if pairing is Pairing.ALL:
        return mutual_pairs(vectors, camera), pairing
    division = cells.learn(vectors, images=len(vectors)).divide(vectors)
    return mutual_pairs_in_cells(vectors, camera, division), pairing


def searched_rows(stored: StoredImages, *, known: bool) -> NDArray[np.bool_]:
    """The gallery images whose scores are counted: without junk, where labels may tell it."""
    rows: NDArray[np.bool_] = stored.split == Split.GALLERY
    return rows & (stored.labels.identity > JUNK) if known else rows


def _transit(
    stored: StoredImages, rows: NDArray[np.bool_], same: Pairs, learning: Learning
) -> Transit:
    """The transit times of what is stored, learned from these rows and their pairs ``same``."""
    camera = stored.labels.camera
    try:
        clock = Clock.of(camera, stored.sequence, stored.frame, stored.timestamp)
    except UsageError:
        return Transit.nothing()
    return transit.learn(clock, camera[rows], stored.times(clock)[rows], same, how=learning)


def load(collection: Collection) -> Calibration:
    """What ``calibrate`` stored last. Raises NotCalibrated where it never ran."""
    row = collection.catalog.learned.calibration(collection.encoder_id)
    if row is None:
        raise NotCalibrated(
            "the times between this gallery's cameras have not been learned",
            hint="Learn them with: {calibrate}",
        )
    return _unpacked(row)


@functools.lru_cache(maxsize=1)  # every query needs it, and it seldom changes
def _unpacked(row: CalibrationRecord) -> Calibration:
    return Calibration(
        transit=Transit.from_bytes(row.transit),
        source=Source(row.source),
        images=row.images,
        learned=row.learned,
        weight=row.weight,
        cosines=ScoreDistribution.from_bytes(row.cosines),
        scores=ScoreDistribution.from_bytes(row.scores),
        pairing=None if row.pairing is None else Pairing(row.pairing),
        sample=row.sample,
    )


def known(collection: Collection) -> Calibration | None:
    """The same; None where it never ran."""
    try:
        return load(collection)
    except NotCalibrated:
        return None


def ranking(
    collection: Collection,
    *,
    spatio_temporal: bool,
    rerank: bool,
    expanded: Expanded = Expanded.NOT,
) -> Ranking:
    """The ranking that is wished for. Raises NotCalibrated where it needs transit times that have
    not been learned, UsageError where it would re-rank expanded vectors."""
    if rerank and expanded is not Expanded.NOT:
        raise UsageError(
            "expanded vectors are not re-ranked: both take neighbours for the same evidence",
            hint="Leave out {rerank} or {expand}.",
        )
    learned = load(collection) if spatio_temporal else None
    if learned is not None and not learned.transit.pairs:
        raise NotCalibrated(
            "the times between this gallery's cameras are not known: no image had one when they "
            "were to be learned",
            hint="Ingest images with times, and learn them with: {calibrate}",
        )
    return Ranking(learned, reranked=rerank, expanded=expanded)


def keep_current(collection: Collection) -> Calibration | None:
    """Learn anew, from the same source, where a calibrated gallery has grown or shrunk by more than
    GROWTH since, or has cameras or sequences that the clock does not know. None otherwise, and
    where what is left no longer suffices to learn from."""
    row = collection.catalog.learned.calibration(collection.encoder_id)
    if row is None:
        return None
    images, source = collection.catalog.images, Source(row.source)
    split = Split.TRAIN if source is Source.TRAIN else Split.GALLERY
    people = source is not Source.MATCHES
    now = len(images.indexed(collection.encoder_id, split, of_people=people))
    clock = Transit.from_bytes(row.transit).clock
    new_parts = False
    if clock.unit == FRAMES:
        new_parts = not images.clock_parts([Split.TRAIN, Split.GALLERY]) <= clock.starts.keys()
    if abs(now - row.images) <= GROWTH * row.images and not new_parts:
        return None
    try:
        return calibrate(collection, source=Source(row.source))
    except (EmptyGallery, UsageError):
        return None


def _rows(stored: StoredImages, source: Source) -> NDArray[np.bool_]:
    wanted = Split.TRAIN if source is Source.TRAIN else Split.GALLERY
    rows: NDArray[np.bool_] = stored.split == wanted
    return rows if source is Source.MATCHES else rows & (stored.labels.identity > DISTRACTOR)


def _distributions(
    sampled: "Sampled", vectors: Vectors, model: Transit
) -> tuple[ScoreDistribution, ScoreDistribution, float]:
    """Of cosines and of scores with transit times, and the weight of these."""
    known = sampled.known
    compared = vectors[sampled.sample], taken(vectors, sampled.every)
    every = sampled.distribution(*compared, model=model)
    weight = transit.WEIGHT * every.spread  # it was chosen beside the spread of all pairs
    cosines = every if known else sampled.distribution(*compared, model=model, by_times=True)
    by_times = not known and int(cosines.different.sum()) >= ENOUGH
    if not by_times:
        cosines = every
    with_times = sampled.distribution(*compared, model=model, weight=weight, by_times=by_times)
    return cosines, with_times, weight


@dataclass(frozen=True)
class Sampled:
    """Gallery images whose scores are counted: SAMPLE of them, fewer of many, at the positions
    ``sample`` (S) in what is stored, with all, at ``every`` (E). ``known`` tells whether identities
    are to count."""

    stored: StoredImages
    every: Ids
    sample: Ids
    known: bool

    @classmethod
    def of(cls, stored: StoredImages, rows: NDArray[np.bool_], *, known: bool) -> Self:
        """From these rows."""
        every = np.flatnonzero(rows)
        count = min(SAMPLE, max(PAIRS // max(len(every), 1), LEAST))
        sample = np.sort(np.random.default_rng(0).permutation(every)[:count])
        return cls(stored, every, sample, known)

    def distribution(
        self,
        probes: Vectors,
        gallery: Vectors,
        *,
        model: Transit,
        weight: float = 0.0,
        by_times: bool = False,
    ) -> ScoreDistribution:
        """Of the scores of ``probes`` (S x D) with ``gallery`` (E x D) from other cameras."""
        found = ScoreDistribution.of([], by_times=by_times)
        beyond, crowds = scores.counted(np.empty(0)), []
        pairs = self._pairs(probes, gallery, model, weight=weight, by_times=by_times)
        for values, same, different, crowd in pairs:
            found += ScoreDistribution.of([(values, same, different)], by_times=by_times)
            if crowd is not None:
                beyond += scores.counted((values - crowd[:, None])[different])
                crowds.append(crowd)
        if not crowds:
            return found
        return replace(found, crowds=Crowds.of(beyond, np.concatenate(crowds)))

    def _pairs(
        self, probes: Vectors, gallery: Vectors, model: Transit, *, weight: float, by_times: bool
    ) -> Iterator[tuple[Vectors, NDArray[np.bool_], NDArray[np.bool_], Vectors | None]]:
        """The scores, which are of the same person, and which of different people, and the crowd of
        each of the sample, where there are enough images for one.

        ``by_times`` takes for different people those of UNLIKELY times. What their own times add
        would be the lowest there is, so each gets the addition of a pair drawn from all of them.
        """
        random = np.random.default_rng(0)
        camera, identity = self.stored.labels.camera, self.stored.labels.identity
        times, every = self.stored.times(model.clock), self.every
        step = max(1, min(BLOCK, SCORES // len(every)))
        for start in range(0, len(self.sample), step):
            block = self.sample[start : start + step]
            cosines = probes[start : start + step] @ gallery.T
            elsewhere = camera[block][:, None] != camera[every]
            same = elsewhere & self.known & (identity[every] > 0)
            same &= identity[block][:, None] == identity[every]
            different = elsewhere & ~same
            ratios = None
            if weight or by_times:
                ratios = model.ratios(camera[block], times[block], camera[every], times[every])
            values = cosines
            if weight and ratios is not None:
                values = cosines + np.float32(weight) * ratios
            crowd = scores.crowds(values) if len(every) >= CROWD_FROM else None
            if by_times and ratios is not None:
                different &= ratios <= UNLIKELY
                if weight:
                    drawn = random.choice(ratios[elsewhere], size=int(different.sum()))
                    values[different] = cosines[different] + np.float32(weight) * drawn
            yield values, same, different, crowd
