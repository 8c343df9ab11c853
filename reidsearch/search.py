"""Answer a probe from the stored gallery."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch import audit, calibrate, names, neighbours, places
from reidsearch.answer import Answer, Hit
from reidsearch.catalog.records import ImageRecord
from reidsearch.collection import Collection, vectors_missing
from reidsearch.encoder import Encoder
from reidsearch.errors import EmptyGallery, EncoderError, UnknownCamera, UsageError
from reidsearch.neighbours import GalleryNeighbours
from reidsearch.places import Scope
from reidsearch.probe import Probe
from reidsearch.ranking import rerank
from reidsearch.ranking.calibration import Calibration
from reidsearch.ranking.clock import SECONDS, Clock
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.session import Session
from reidsearch.stores import Matches
from reidsearch.types import Filter, Ids, Split, Vectors, check_span, known_or_unknown

log = logging.getLogger(__name__)

FETCHED = 500  # more matches than asked for, among which times may reorder
WIDENED = 4  # times as many are fetched where these do not suffice


@dataclass(frozen=True, slots=True)
class Scored:
    """A stored image and its score for a probe."""

    score: float
    image: ImageRecord


def query(
    session: Session,
    probe: Probe,
    *,
    exclude_camera: bool = False,
    only_cameras: Sequence[str] = (),
    site: str | None = None,
    dataset: str | None = None,
    since: float | None = None,
    until: float | None = None,
    split: Split = Split.GALLERY,
    top_k: int = 10,
    min_score: float = -math.inf,
    spatio_temporal: bool = False,
    rerank: bool = False,
) -> Answer:
    """The ``top_k`` stored images of a split nearest to the probe, at least ``min_score``; logged.

    ``exclude_camera`` drops every image of the probe's camera, ``only_cameras`` all but those of
    some; ``site`` and ``dataset`` leave what is of one, ``since`` and ``until`` (seconds since 1970
    UTC, the second one not included) what was taken in between. ``spatio_temporal`` adds the
    weighted evidence of the time between the sightings to the cosine. With ``rerank`` hits are
    re-ranked among the whole split, and their score is 1 - the re-ranked distance.

    Raises UnknownCamera where a camera is needed and unknown, is not stored, or one of several of
    that name; UsageError where the time is needed and unknown, or the filters exclude each other;
    NotCalibrated, ImageError where the picture cannot be read, EmptyGallery, EncoderMismatch,
    StoreError, CatalogError.
    """
    audit.require_log(session)
    if top_k < 1:
        raise UsageError(f"{top_k} hits are asked for", hint="Ask for at least 1 with {top_k}.")
    check_span(since, until)
    own = probe.seen.camera
    if exclude_camera and own is None:
        raise UnknownCamera(
            f"the camera of {probe.short_name} is not known, so it cannot be excluded",
            hint="Add {camera}, or name the file like 0002_c1s1_000451_03.jpg.",
        )
    collection, encoder = session.searchable()
    scope = places.scope(session.catalog, site=site, dataset=dataset)
    here = scope.site_of(probe)
    cameras = places.cameras(scope, only_cameras, site=site)
    without = [scope.camera(own, site=here)] if exclude_camera and own is not None else []
    if any(one in cameras for one in without):
        raise UsageError(
            f"camera {own} is asked for and ruled out at once",
            hint="Name it in {only_cameras} or rule it out with {exclude_camera}, not both.",
        )
    ranking = calibrate.ranking(collection, spatio_temporal=spatio_temporal, rerank=rerank)
    around = neighbours.current(collection, split) if rerank else None
    where = Filter(
        split=split,
        cameras=tuple(one.id for one in cameras),
        without_cameras=tuple(one.id for one in without),
        datasets=scope.dataset_ids,
        since=since,
        until=until,
    )
    seen = None
    if ranking.calibration is not None:
        seen = sighted(probe, ranking.calibration, scope)
    found = find(
        encode(probe, encoder),
        collection=collection,
        where=where,
        top_k=top_k,
        min_score=min_score,
        ranking=ranking,
        seen=seen,
        around=around,
    )
    answer = Answer(
        query=probe.name,
        camera=names.numbered(own),
        identity=names.numbered(probe.seen.identity),
        site=here,
        hits=hits(found),
        warnings=warned(probe),
        picture=probe.data,
        zone=session.config.timezone,
    )
    audit.record(
        session,
        probe,
        command="query",
        filters={
            "camera": answer.camera,
            "exclude_camera": exclude_camera,
            "only_camera": [names.number(one.name) for one in cameras],
            "site": site,
            "dataset": dataset,
            "since": since,
            "until": until,
            "split": str(split),
            "top_k": top_k,
            "min_score": None if min_score == -math.inf else min_score,
            "spatio_temporal": spatio_temporal,
            "rerank": rerank,
        },
        hits=len(answer.hits),
    )
    return answer


def find(
    vector: Vectors,
    *,
    collection: Collection,
    where: Filter,
    ranking: Ranking,
    top_k: int | None = None,
    min_score: float = -math.inf,
    seen: Sighted | None = None,
    around: GalleryNeighbours | None = None,
    margin: int = FETCHED,
    scale: float = 1.0,
) -> list[Scored]:
    """The best images for one vector (1 x D) by (-score, id): the ``top_k`` best, or all, of at
    least ``min_score``.

    ``seen`` is where and when the probe was taken, for a ranking by times (of several, what their
    times add counts on average); ``scale`` multiplies cosines, for the mean of several pictures,
    whose length it is; ``around`` the split's
    neighbours, for a re-ranked one. Stored vectors that the catalog does not call indexed are
    passed over. ``margin`` more than ``top_k`` are fetched at first where times may reorder them.
    Raises EmptyGallery where the store holds none at all, or lacks some that re-ranking needs.
    """
    ranked = None if around is None else _reranked(vector, collection, where, around)
    limit = margin if top_k is None else top_k + (margin if seen is not None else 0)
    scored: list[Scored] = []
    done = 0
    while True:
        if ranked is None:
            (matches,) = collection.store.search(vector, limit=limit, where=where)
        else:
            matches = Matches(ranked.ids[:limit], ranked.scores[:limit])
        if scale != 1:
            matches = Matches(matches.ids, matches.scores * scale)
        # What was fetched before comes first again, in the same order.
        scored += _scored(matches, slice(done, None), collection, ranking, seen)
        done = len(matches.ids)
        scored.sort(key=lambda one: (-one.score, one.image.id))
        if done < limit:
            break
        # What was not fetched is no nearer than the last match, and can gain only so much.
        rest = float(matches.scores[-1]) + ranking.most_added
        enough = top_k is not None and len(scored) >= top_k and scored[top_k - 1].score >= rest
        if enough or rest < min_score:
            break
        limit *= WIDENED
    if not done and not collection.store.count():
        raise EmptyGallery(
            "the vector store is empty, though the catalog lists images",
            hint="Ingest again: what is missing is encoded anew.",
        )
    return [one for one in scored[:top_k] if one.score >= min_score]


def _scored(
    matches: Matches,
    rows: slice,
    collection: Collection,
    ranking: Ranking,
    seen: Sighted | None,
) -> list[Scored]:
    """Of some of the matches those that the catalog calls indexed, with their scores."""
    ids, scores = matches.ids[rows].tolist(), matches.scores[rows].tolist()
    described = collection.catalog.images.describe(collection.encoder_id, ids)
    known = [
        Scored(score, described[id])
        for id, score in zip(ids, scores, strict=True)
        if id in described
    ]
    if seen is None or ranking.calibration is None or not known:
        return known
    clock = ranking.calibration.transit.clock
    each = ranking.added(seen, sightings([one.image for one in known], clock))
    added = (each[0] if len(each) == 1 else each.mean(axis=0)).tolist()
    return [Scored(one.score + more, one.image) for one, more in zip(known, added, strict=True)]


def sightings(images: Sequence[ImageRecord], clock: Clock) -> Sighted:
    """Where and when these images were taken, by that clock."""
    camera = known_or_unknown(one.camera_id for one in images)
    times = clock.times(
        camera,
        known_or_unknown(one.sequence for one in images),
        known_or_unknown(one.frame for one in images),
        np.array([one.timestamp for one in images], dtype=np.float64),
    )
    return Sighted(camera, times)


def sighted(probe: Probe, calibration: Calibration, scope: Scope) -> Sighted:
    """Where and when a probe was taken. Raises UnknownCamera, or UsageError where the time is not
    known."""
    seen = probe.seen
    if seen.camera is None:
        raise UnknownCamera(
            f"which camera {probe.short_name} is from is not known",
            hint="Add {camera}, or leave out {spatio_temporal}.",
        )
    clock = calibration.transit.clock
    own = scope.camera(seen.camera, site=scope.site_of(probe))
    camera = np.array([own.id], dtype=np.int64)
    times = clock.times(
        camera,
        known_or_unknown([seen.sequence]),
        known_or_unknown([seen.frame]),
        np.array([seen.timestamp], dtype=np.float64),
    )
    if not np.isfinite(times).all():
        raise UsageError(
            f"when {probe.short_name} was taken is not known",
            hint="Add {time}, or name it like 0002_c1s1_000451_03.jpg, from a stored sequence."
            if clock.unit == SECONDS
            else "Name it like 0002_c1s1_000451_03.jpg, from a stored sequence.",
        )
    return Sighted(camera, times)


def _reranked(
    vector: Vectors, collection: Collection, where: Filter, around: GalleryNeighbours
) -> Matches:
    """All images that the filter admits, by re-ranked score."""

    def cosines(where: Filter) -> tuple[Ids, NDArray[np.float32]]:
        (matches,) = collection.store.search(vector, limit=len(around.ids), where=where)
        order = np.argsort(matches.ids)
        order = order[np.isin(matches.ids[order], around.ids)]  # without what is not indexed
        return matches.ids[order], matches.scores[order].astype(np.float32)

    def fetch(positions: Ids) -> Vectors:
        ids, vectors = collection.store.retrieve(around.ids[positions].tolist())
        order = np.argsort(ids)  # positions ascend, and ids with them
        return vectors[order]

    ids, scores = cosines(Filter(split=where.split))
    if not np.array_equal(ids, around.ids):
        raise vectors_missing(len(around.ids) - len(ids), len(around.ids))
    distances = rerank.rerank_one(vector, scores, around.neighbours, fetch)
    allowed = np.arange(len(ids))
    if where.narrows:
        allowed = np.flatnonzero(np.isin(ids, cosines(where)[0]))
    best = allowed[np.argsort(distances[allowed], kind="stable")]
    return Matches(ids[best], 1 - distances[best].astype(np.float64))


def hits(found: Sequence[Scored]) -> tuple[Hit, ...]:
    """The same in rank order, as people are shown them."""
    return tuple(
        Hit.of(one.image, rank=rank, score=one.score) for rank, one in enumerate(found, start=1)
    )


def warned(probe: Probe) -> tuple[str, ...]:
    """What may be wrong with a probe that was searched for; also told to people at once."""
    warnings = probe.warnings()
    for warning in warnings:
        log.warning("%s", warning)
    return warnings


def encode(probe: Probe, encoder: Encoder) -> Vectors:
    """The probe's vector, 1 x D. Raises ImageError, EncoderError."""
    vector = encoder.encode(probe.pixels(encoder.size)[None])
    if not np.isfinite(vector).all():
        raise EncoderError(f"the encoder {encoder.name} gave no usable vector for {probe.name}")
    return vector
