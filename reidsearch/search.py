"""Answer a probe from the stored gallery."""

import functools
import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reidsearch import audit, calibrate, expand, names, neighbours, places, stays, stored
from reidsearch.answer import Answer, Hit
from reidsearch.catalog import Catalog, State
from reidsearch.catalog.records import Glimpse, ImageRecord
from reidsearch.collection import Collection, vectors_missing
from reidsearch.errors import EmptyGallery, NotCalibrated, UnknownCamera, UsageError
from reidsearch.neighbours import GalleryNeighbours
from reidsearch.places import Scope
from reidsearch.question import Question
from reidsearch.ranking import expansion, feedback, rerank
from reidsearch.ranking.cells import Pairing
from reidsearch.ranking.clock import Clock
from reidsearch.ranking.expansion import Neighbours
from reidsearch.ranking.feedback import Unlike
from reidsearch.ranking.ranking import Expanded, Ranking, Sighted
from reidsearch.session import Session
from reidsearch.stays import Stay
from reidsearch.stores import Matches
from reidsearch.types import UNKNOWN, Filter, Ids, Kind, Scan, Split, Vectors, check_span

FETCHED = 100  # more matches than asked for, among which times may reorder
WIDENED = 4  # times as many are fetched where these do not suffice
MOST = 10_000  # images at most that are looked at for stays
# Of so many of the nearest images re-ranked ones are taken, where all are too many, or of as many
# as are asked for. Measured: benchmarks/candidates.py.
CANDIDATES = 2_000


@dataclass(frozen=True, slots=True)
class Wish:
    """How people want answers ranked. ``expand`` compares vectors that carry their neighbours in
    the gallery, ``spatio_temporal`` adds the weighted evidence of the time between two sightings,
    ``rerank`` re-ranks by k-reciprocal neighbours, among the whole split, or of many images among
    the nearest CANDIDATES; scores are then 1 - the re-ranked distance. None stands for "where the
    gallery has learned it and the picture allows it"."""

    expand: bool | None = None
    spatio_temporal: bool | None = None
    rerank: bool = False

    @classmethod
    def of(cls, *, expand: bool, spatio_temporal: bool, rerank: bool, plain: bool) -> "Wish":
        """What these four mean together: without any of them, the best there is.

        Raises UsageError where ``plain`` is asked for with another.
        """
        asked = {"{expand}": expand, "{spatio_temporal}": spatio_temporal, "{rerank}": rerank}
        others = [name for name, wanted in asked.items() if wanted]
        if plain and others:
            raise UsageError(
                "a plain ranking and another one are asked for at once",
                hint="Leave out {plain}, or " + " and ".join(others) + ".",
            )
        if plain or others:
            return cls(expand, spatio_temporal, rerank)
        return BEST


BEST, PLAIN = Wish(), Wish(expand=False, spatio_temporal=False)


@dataclass(frozen=True, slots=True)
class Scored:
    """A stored image and its score for a probe."""

    score: float
    image: ImageRecord


def query(
    session: Session,
    question: Question,
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
    wish: Wish = BEST,
    by_stay: bool = False,
    exact: bool = False,
) -> Answer:
    """The ``top_k`` stored images of a split nearest to the question, at least ``min_score``;
    logged.

    ``exclude_camera`` drops every image of the probes' cameras, ``only_cameras`` all but those of
    some; ``site`` and ``dataset`` leave what is of one, ``since`` and ``until`` (seconds since 1970
    UTC, the second one not included) what was taken in between. ``wish`` says how to rank.
    ``by_stay`` asks for ``top_k`` stays, into which the nearest images fall, MOST at most. With
    ``exact`` all stored vectors are compared, however many.

    Raises UnknownCamera where a camera is needed and unknown, is not stored, or one of several of
    that name; UsageError where the time is needed and unknown, or the filters exclude each other;
    NotCalibrated, ImageError where a picture cannot be read, EmptyGallery, EncoderMismatch,
    StoreError, CatalogError.
    """
    audit.require_log(session)
    if top_k < 1:
        raise UsageError(f"{top_k} hits are asked for", hint="Ask for at least 1 with {top_k}.")
    check_span(since, until)
    question = question.recognised(session.catalog)
    collection, encoder = session.searchable()
    scope = places.scope(session.catalog, site=site, dataset=dataset)
    cameras = places.cameras(scope, only_cameras, site=site)
    without = question.cameras(scope) if exclude_camera else []
    for one in without:
        if one in cameras:
            raise UsageError(
                f"camera {one.name} is asked for and ruled out at once",
                hint="Name it in {only_cameras} or rule it out with {exclude_camera}, not both.",
            )
    where = Filter(
        split=split,
        cameras=tuple(one.id for one in cameras),
        without_cameras=tuple(one.id for one in without),
        datasets=scope.dataset_ids,
        since=since,
        until=until,
    )
    own = question.vector(encoder)
    generation = expand.generation(collection)
    ranking, seen = ranking_for(collection, question, scope, wish, split)
    vector = own
    if ranking.is_expanded:
        vector = looked_again(own, question, collection, ranking, seen, exact=exact)
    around = None
    if ranking.reranked:
        ranking, around = _around(collection, split, ranking, most=MOST if by_stay else top_k)
    nearest = functools.partial(
        find,
        vector,
        collection=collection,
        where=where,
        min_score=min_score,
        ranking=ranking,
        seen=seen,
        unlike=question.others(own, encoder),
        hidden={one.sha256 for one in question.unlike},
        around=around,
        exact=exact,
    )
    scan = Scan.EXACT if exact or around is not None else collection.store.scan
    found: tuple[Stay, ...] | None = None
    clock = None
    if by_stay:
        clock = stays.clock_of(collection, split, calibrate.known(collection))
        found = _stays(lambda limit: nearest(top_k=limit), top_k, clock, collection.catalog)
        shown = tuple(stay.hits[0] for stay in found)
    else:
        shown = hits(nearest(top_k=top_k), collection.catalog)
    if ranking.is_expanded and expand.generation(collection) != generation:
        return query(
            session,
            question,
            exclude_camera=exclude_camera,
            only_cameras=only_cameras,
            site=site,
            dataset=dataset,
            since=since,
            until=until,
            split=split,
            top_k=top_k,
            min_score=min_score,
            wish=wish,
            by_stay=by_stay,
            exact=exact,
        )  # somebody wrote expanded vectors meanwhile: those found may be of both kinds
    (first, *more), others = question.asked(scope)
    answer = Answer(
        query=first.query,
        camera=first.camera,
        identity=first.identity,
        site=first.site,
        hits=shown,
        warnings=question.warned(),
        picture=first.picture,
        zone=session.config.timezone,
        more=tuple(more),
        unlike=others,
        stays=found,
        unit=None if clock is None else clock.unit,
        ranking=ranking,
        scan=scan,
    )
    audit.record(
        session,
        question.probes,
        unlike=question.unlike,
        command="query",
        filters={
            "camera": [one.camera for one in answer.together] if more else answer.camera,
            "exclude_camera": exclude_camera,
            "only_camera": [names.number(one.name) for one in cameras],
            "site": site,
            "dataset": dataset,
            "since": since,
            "until": until,
            "split": str(split),
            "top_k": top_k,
            "min_score": None if min_score == -math.inf else min_score,
            "expand": ranking.is_expanded,
            "spatio_temporal": ranking.calibration is not None,
            "rerank": ranking.reranked,
            "by_stay": by_stay,
            "scan": str(scan),
        },
        hits=len(shown) if found is None else sum(len(stay.hits) for stay in found),
    )
    return answer


def _around(
    collection: Collection, split: Split, ranking: Ranking, *, most: int
) -> tuple[Ranking, GalleryNeighbours | None]:
    """A split's neighbours, for re-ranking; where it is too large for these, the ranking says of
    how many candidates ``most`` hits are taken."""
    datasets = [one.id for one in collection.catalog.places.datasets()]
    size = collection.catalog.embeddings.count(
        collection.encoder_id, State.INDEXED, [split], datasets=datasets
    )
    if Pairing.of(size) is Pairing.ALL:
        return ranking, neighbours.current(collection, split)
    return replace(ranking, candidates=max(CANDIDATES, most + FETCHED)), None


def ranking_for(
    collection: Collection, question: Question, scope: Scope, wish: Wish, split: Split
) -> tuple[Ranking, Sighted | None]:
    """How to rank, and where and when the question's pictures were taken, where that counts. Raises
    as ``query`` does."""
    expanded = Expanded.NOT
    if split is Split.GALLERY and wish.expand is not False:
        expanded = expand.stored_kind(collection)
    if wish.expand and expanded is Expanded.NOT:
        raise NotCalibrated(
            "there are no expanded vectors of what is stored now"
            if split is Split.GALLERY
            else f"only gallery images have expanded vectors, not the {split} split",
            hint="Make them with: {calibrate}, or leave out {expand}.",
        )
    if wish.spatio_temporal is None:
        try:
            learned = calibrate.ranking(
                collection, spatio_temporal=True, rerank=False, expanded=expanded
            )
            assert learned.calibration is not None
            return learned, question.sighted(learned.calibration, scope)
        except (NotCalibrated, UsageError):  # nothing is known of times, here or of the probe
            return Ranking(expanded=expanded), None
    ranking = calibrate.ranking(
        collection,
        spatio_temporal=wish.spatio_temporal,
        rerank=wish.rerank,
        expanded=expanded,
    )
    if ranking.calibration is None:
        return ranking, None
    return ranking, question.sighted(ranking.calibration, scope)


def looked_again(
    vector: Vectors,
    question: Question,
    collection: Collection,
    ranking: Ranking,
    seen: Sighted | None,
    *,
    exact: bool = False,
) -> Vectors:
    """The question's vector (1 x D), less what its cameras add, with its nearest gallery images in
    it, of its own site and of other cameras than its pictures'. Times help to choose them where the
    stored vectors were made so, and where ``seen`` is known."""
    everywhere = places.scope(collection.catalog)
    site = everywhere.site_of(question.probes[0])
    cameras = np.full(len(question.probes), UNKNOWN)
    for at, one in enumerate(question.probes):
        with suppress(UnknownCamera):
            if one.seen.camera is not None:
                cameras[at] = everywhere.camera(one.seen.camera, site=everywhere.site_of(one)).id
    means = expand.means(collection)
    vector = feedback.pooled(means.adapted(np.repeat(vector, len(cameras), axis=0), cameras))[None]
    by_times = ranking.expanded is Expanded.TIMES and seen is not None
    found = find(
        vector,
        collection=collection,
        where=Filter(
            split=Split.GALLERY,
            without_cameras=tuple(np.unique(cameras[cameras != UNKNOWN]).tolist()),
            datasets=tuple(one.id for one in everywhere.datasets if site in (None, one.site)),
        ),
        ranking=Ranking(ranking.calibration if by_times else None),
        kind=Kind.EXPANDED,
        top_k=expand.SETTINGS.probe,
        seen=seen if by_times else None,
        exact=exact,
    )
    if not found:
        return vector
    ids, vectors = collection.store.retrieve([one.image.id for one in found], kind=Kind.EXPANDED)
    place = {id: at for at, id in enumerate(ids.tolist())}
    known = [one for one in found if one.image.id in place]  # or it is being deleted
    carried = Neighbours(
        np.array([[place[one.image.id] for one in known]], dtype=np.int64),
        np.array([[one.score for one in known]], dtype=np.float32),
    )
    return expansion.carrying(vector, carried, vectors, expand.SETTINGS)


def _stays(
    nearest: Callable[[int], list[Scored]], top_k: int, clock: Clock | None, catalog: Catalog
) -> tuple[Stay, ...]:
    """The first ``top_k`` stays that the nearest images fall into, by their best."""
    limit = top_k + FETCHED
    while True:
        found = nearest(limit)
        images, shown = [one.image for one in found], hits(found, catalog)
        count = stays.covered(images, shown, clock, most=top_k)
        if count < len(found) or len(found) < limit or limit >= MOST:
            break
        limit = min(limit * WIDENED, MOST)
    return tuple(
        sorted(stays.of(images[:count], shown[:count], clock), key=lambda s: s.hits[0].rank)
    )


def find(
    vector: Vectors,
    *,
    collection: Collection,
    where: Filter,
    ranking: Ranking,
    kind: Kind | None = None,
    top_k: int | None = None,
    min_score: float = -math.inf,
    seen: Sighted | None = None,
    unlike: Unlike | None = None,
    hidden: AbstractSet[str] = frozenset(),
    around: GalleryNeighbours | None = None,
    margin: int = FETCHED,
    scale: float = 1.0,
    exact: bool = False,
) -> list[Scored]:
    """The best images for one vector (1 x D) by (-score, id): the ``top_k`` best, or all, of at
    least ``min_score``.

    ``kind`` says which stored vectors are compared, by default those that the ranking names.
    ``seen`` is where and when the probe was taken, for a ranking by times (of several, what their
    times add counts on average); ``scale`` multiplies cosines, for the mean of several pictures,
    whose length it is; ``unlike`` takes from the score of who looks like somebody else; ``around``
    are the split's neighbours, for one that is re-ranked among all. Passed over are files whose
    SHA-256 is in ``hidden``, and stored vectors that the catalog does not call indexed. ``margin``
    more than ``top_k`` are fetched at first where times or ``unlike`` may reorder them. With
    ``exact`` all vectors are compared, else as the store does it (``VectorStore.scan``). Raises
    EmptyGallery where the store holds none at all, or lacks some that re-ranking needs.
    """
    if kind is None:
        kind = Kind.EXPANDED if ranking.is_expanded else Kind.PLAIN
    ranked = None
    if around is not None:
        ranked = _reranked(vector, collection, where, around)
    elif ranking.candidates is not None:
        ranked = _reranked_among(vector, collection, where, count=ranking.candidates, exact=exact)
    reordered = seen is not None or unlike is not None
    limit = margin if top_k is None else top_k + (margin if reordered else 0)
    scored: list[tuple[float, Glimpse]] = []
    fetched = np.empty(0, dtype=np.int64)
    done = 0
    while True:
        if ranked is None:
            (matches,) = collection.store.search(
                vector, limit=limit, where=where, kind=kind, exact=exact
            )
        else:
            matches = Matches(ranked.ids[:limit], ranked.scores[:limit])
        if scale != 1:
            matches = Matches(matches.ids, matches.scores * scale)
        new = np.flatnonzero(~np.isin(matches.ids, fetched))
        scored += [
            (score, one)
            for score, one in _scored(matches, new, collection, ranking, seen, unlike)
            if one.sha256 not in hidden
        ]
        fetched = np.concatenate([fetched, matches.ids[new]])
        done = len(matches.ids)
        scored.sort(key=lambda pair: (-pair[0], pair[1].id))
        if done < limit:
            break
        # What was not fetched is no nearer than the last match, and can gain only so much.
        rest = float(matches.scores[-1]) + ranking.most_added
        enough = top_k is not None and len(scored) >= top_k and scored[top_k - 1][0] >= rest
        if enough or rest < min_score:
            break
        limit *= WIDENED
    if not done and not collection.store.count():
        raise EmptyGallery(
            "the vector store is empty, though the catalog lists images",
            hint="Ingest again: what is missing is encoded anew.",
        )
    best = [(score, one.id) for score, one in scored[:top_k] if score >= min_score]
    described = collection.catalog.images.describe(collection.encoder_id, [id for _, id in best])
    return [Scored(score, described[id]) for score, id in best if id in described]


def _scored(
    matches: Matches,
    rows: Ids,
    collection: Collection,
    ranking: Ranking,
    seen: Sighted | None,
    unlike: Unlike | None,
) -> list[tuple[float, Glimpse]]:
    """Of some of the matches those that the catalog calls indexed, with their scores."""
    ids, scores = matches.ids[rows].tolist(), matches.scores[rows].tolist()
    indexed = collection.catalog.images.glimpses(collection.encoder_id, ids)
    known = [(score, indexed[id]) for id, score in zip(ids, scores, strict=True) if id in indexed]
    if unlike is not None and known:
        stored, vectors = collection.store.retrieve([one.id for _, one in known])
        lost = dict(zip(stored.tolist(), unlike.penalty(vectors).tolist(), strict=True))
        known = [
            (score - lost[one.id], one)
            for score, one in known
            if one.id in lost  # or it is being deleted
        ]
    if seen is None or ranking.calibration is None or not known:
        return known
    clock = ranking.calibration.transit.clock
    each = ranking.added(seen, stays.sightings([one for _, one in known], clock))
    added = (each[0] if len(each) == 1 else each.mean(axis=0)).tolist()
    return [(score + more, one) for (score, one), more in zip(known, added, strict=True)]


def _reranked(
    vector: Vectors, collection: Collection, where: Filter, around: GalleryNeighbours
) -> Matches:
    """All images that the filter admits, by re-ranked score."""

    def cosines(where: Filter) -> tuple[Ids, NDArray[np.float32]]:
        (matches,) = collection.store.search(vector, limit=len(around.ids), where=where, exact=True)
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


def _reranked_among(
    vector: Vectors, collection: Collection, where: Filter, *, count: int, exact: bool
) -> Matches:
    """The nearest images that the filter admits, so many at most, by re-ranked score, among these
    and the nearest of the whole split."""
    search = functools.partial(collection.store.search, vector, limit=count, exact=exact)
    (allowed,) = search(where=where)
    ids = allowed.ids
    if where.narrows:
        (others,) = search(where=Filter(split=where.split))
        ids = np.union1d(ids, others.ids)
    ids, vectors = collection.store.retrieve(ids.tolist())
    if not len(ids):
        return allowed
    order = np.argsort(ids)
    ids, vectors = ids[order], vectors[order]
    (distances,) = next(rerank.rerank(vector, vectors))
    admitted = np.flatnonzero(np.isin(ids, allowed.ids))
    best = admitted[np.argsort(distances[admitted], kind="stable")]
    return Matches(ids[best], 1 - distances[best].astype(np.float64))


def hits(found: Sequence[Scored], catalog: Catalog) -> tuple[Hit, ...]:
    """The same in rank order, as people are shown them."""
    return tuple(
        Hit.of(
            one.image,
            rank=rank,
            score=one.score,
            fetch=None
            if stored.is_here(one.image)
            else functools.partial(stored.thumbnail, catalog, one.image),
        )
        for rank, one in enumerate(found, start=1)
    )
