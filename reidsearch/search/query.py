"""Answer questions from the stored gallery: one, or several at once."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from reidsearch import names, outcomes
from reidsearch.catalog import Catalog
from reidsearch.catalog.records import CameraRecord
from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import ReidsearchError, UsageError
from reidsearch.learning import calibrate, expand, neighbours
from reidsearch.ranking.clock import Clock
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.search import audit, places, rankings, second_look, stays
from reidsearch.search.answer import Answer
from reidsearch.search.find import FETCHED, WIDENED, Scored, Sought, find, find_all, hits
from reidsearch.search.inquiry import Inquiry, Wish
from reidsearch.search.places import Scope
from reidsearch.search.question import Encoded, Question, encode_all
from reidsearch.search.stays import Stay
from reidsearch.session import Session
from reidsearch.types import Filter, Scan, Split, Vectors
from reidsearch.vectors.collection import Collection

MOST = 10_000  # images at most that are looked at for stays


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """An inquiry whose names the catalog knows: the data sets and cameras that it is about."""

    inquiry: Inquiry
    question: Question
    scope: Scope
    cameras: tuple[CameraRecord, ...]
    where: Filter


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """The same with its pictures ``encoded``, the ``vector`` (1 x D) to search with, how to rank,
    and where and when the pictures were taken, where that counts."""

    begun: _Begun
    encoded: Encoded
    vector: Vectors
    ranking: Ranking
    seen: Sighted | None


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The same with the best images; or with stays, by the clock that these are told by."""

    look: _Look
    best: list[Scored]
    stays: tuple[Stay, ...] | None = None
    clock: Clock | None = None

    @property
    def is_expanded(self) -> bool:
        return self.look.ranking.is_expanded


class _Told(NamedTuple):
    """The answer, and what is to be logged before anybody has it."""

    answer: Answer
    search: audit.Search


def query(session: Session, inquiry: Inquiry) -> Answer:
    """The stored images nearest to the question; logged.

    Raises UnknownCamera where a camera is needed and unknown, is not stored, or one of several of
    that name; UsageError where the time is needed and unknown, or the filters exclude each other;
    NotCalibrated, ImageError where a picture cannot be read, EmptyGallery, EncoderMismatch,
    StoreError, CatalogError.
    """
    (answer,) = query_all(session, [inquiry])
    if isinstance(answer, ReidsearchError):
        raise answer
    return answer


def query_all(session: Session, inquiries: Sequence[Inquiry]) -> list[Answer | ReidsearchError]:
    """The same for several at once, each with its answer, or its error, in its place. The store
    compares the vectors of all in one go, and the catalog is asked once, which takes far less than
    one after the other; an answer is the same to the last digit whoever else asks.

    Raises what concerns all of them: EmptyGallery, EncoderMismatch, StoreError, CatalogError.
    """
    audit.require_log(session)
    collection, encoder = session.searchable()
    scopes = functools.cache(
        lambda site, dataset: places.scope(session.catalog, site=site, dataset=dataset)
    )
    ranked = functools.cache(lambda wish, split: rankings.of_gallery(collection, wish, split))
    begun = outcomes.each(
        lambda one: _begin(one, session.catalog, scopes(one.site, one.dataset)), inquiries
    )
    encoded = outcomes.together(lambda some: _encode(some, encoder), begun)
    generation = expand.generation(collection)
    looks = outcomes.each(lambda one: _rank(*one, ranked), encoded)
    looks = outcomes.together(lambda some: _look_again(some, collection), looks)
    found = outcomes.together(lambda some: _find(some, collection), looks)
    changed = expand.generation(collection) != generation
    told = outcomes.each(
        lambda one: None if changed and one.is_expanded else _tell(one, session, collection), found
    )
    audit.record(session, *(one.search for one in told if isinstance(one, _Told)))
    # Somebody wrote expanded vectors meanwhile: those that were found may be of both kinds.
    stale = [at for at, one in enumerate(told) if one is None]
    fresh = iter(query_all(session, [inquiries[at] for at in stale]) if stale else ())
    return [
        next(fresh) if one is None else one.answer if isinstance(one, _Told) else one
        for one in told
    ]


def _begin(inquiry: Inquiry, catalog: Catalog, scope: Scope) -> _Begun:
    question = inquiry.question.recognised(catalog)
    cameras = places.cameras(scope, inquiry.only_cameras, site=inquiry.site)
    without = question.cameras(scope) if inquiry.exclude_camera else []
    for one in without:
        if one in cameras:
            raise UsageError(
                f"camera {one.name} is asked for and ruled out at once",
                hint="Name it in {only_cameras} or rule it out with {exclude_camera}, not both.",
            )
    where = Filter(
        split=inquiry.split,
        cameras=tuple(one.id for one in cameras),
        without_cameras=tuple(one.id for one in without),
        datasets=scope.dataset_ids,
        since=inquiry.since,
        until=inquiry.until,
    )
    return _Begun(inquiry, question, scope, cameras, where)


def _encode(
    begun: Sequence[_Begun], encoder: Encoder
) -> list[tuple[_Begun, Encoded] | ReidsearchError]:
    made = encode_all([one.question for one in begun], encoder)
    return [
        found if isinstance(found, ReidsearchError) else (one, found)
        for one, found in zip(begun, made, strict=True)
    ]


def _rank(begun: _Begun, encoded: Encoded, ranked: Callable[[Wish, Split], Ranking]) -> _Look:
    inquiry = begun.inquiry
    ranking = ranked(inquiry.wish, inquiry.split)
    ranking, seen = rankings.for_question(ranking, begun.question, begun.scope, inquiry.wish)
    if ranking.candidates is not None:
        most = MOST if inquiry.by_stay else inquiry.top_k + FETCHED
        ranking = replace(ranking, candidates=max(ranking.candidates, most))
    return _Look(begun, encoded, encoded.own, ranking, seen)


def _look_again(looks: Sequence[_Look], collection: Collection) -> list[_Look | ReidsearchError]:
    """The same of all that look among expanded vectors."""
    again: list[_Look | ReidsearchError] = list(looks)
    expanded = [at for at, one in enumerate(looks) if one.ranking.is_expanded]
    if not expanded:
        return again
    everywhere, means = places.scope(collection.catalog), expand.means(collection)
    sought = outcomes.each(
        lambda one: second_look.neighbours_sought(
            one.vector,
            one.begun.question,
            everywhere,
            means,
            one.ranking,
            one.seen,
            exact=one.begun.inquiry.exact,
        ),
        [looks[at] for at in expanded],
    )
    found = outcomes.together(lambda some: find_all(collection, some), sought)
    for at, one, some in zip(expanded, sought, found, strict=True):
        if isinstance(one, ReidsearchError):
            again[at] = one
        elif isinstance(some, ReidsearchError):
            again[at] = some
        else:
            again[at] = replace(looks[at], vector=second_look.carrying(one, some, collection))
    return again


def _find(looks: Sequence[_Look], collection: Collection) -> list[_Found | ReidsearchError]:
    alone = outcomes.each(
        lambda one: _find_stays(one, collection) if one.begun.inquiry.by_stay else None, looks
    )
    others = [one for one, found in zip(looks, alone, strict=True) if found is None]
    sought = outcomes.each(lambda one: _sought(one, collection), others)
    best = outcomes.together(lambda some: find_all(collection, some), sought)
    at_once = iter(
        found if isinstance(found, ReidsearchError) else _Found(one, found)
        for one, found in zip(others, best, strict=True)
    )
    return [next(at_once) if one is None else one for one in alone]


def _sought(look: _Look, collection: Collection) -> Sought:
    inquiry = look.begun.inquiry
    among_all = look.ranking.reranked and look.ranking.candidates is None
    return Sought(
        vector=look.vector,
        where=look.begun.where,
        ranking=look.ranking,
        top_k=inquiry.top_k,
        min_score=inquiry.min_score,
        seen=look.seen,
        unlike=look.encoded.unlike,
        hidden=frozenset(one.sha256 for one in look.begun.question.unlike),
        around=neighbours.current(collection, inquiry.split) if among_all else None,
        exact=inquiry.exact,
    )


def _find_stays(look: _Look, collection: Collection) -> _Found:
    inquiry = look.begun.inquiry
    clock = stays.clock_of(collection, inquiry.split, calibrate.known(collection))
    sought = _sought(look, collection)
    found = _stays(
        lambda limit: find(collection, replace(sought, top_k=limit)),
        inquiry.top_k,
        clock,
        collection.catalog,
    )
    return _Found(look, [], found, clock)


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


def _tell(found: _Found, session: Session, collection: Collection) -> _Told:
    look, begun = found.look, found.look.begun
    inquiry, question = begun.inquiry, begun.question
    if found.stays is None:
        shown = hits(found.best, session.catalog)
    else:
        shown = tuple(stay.hits[0] for stay in found.stays)
    among_all = look.ranking.reranked and look.ranking.candidates is None
    whole = inquiry.exact or among_all
    scan = Scan.EXACT if whole else collection.store.scan
    (first, *more), others = question.asked(begun.scope)
    answer = Answer(
        query=first.query,
        camera=first.camera,
        identity=first.identity,
        site=first.site,
        hits=shown,
        warnings=look.encoded.warned(),
        picture=first.picture,
        zone=session.config.timezone,
        more=tuple(more),
        unlike=others,
        stays=found.stays,
        unit=None if found.clock is None else found.clock.unit,
        ranking=look.ranking,
        scan=scan,
    )
    stayed = found.stays
    search = audit.Search(
        probes=question.probes,
        unlike=question.unlike,
        command="query",
        operator=inquiry.operator,
        filters={
            "camera": [one.camera for one in answer.together] if more else answer.camera,
            "exclude_camera": inquiry.exclude_camera,
            "only_camera": [names.number(one.name) for one in begun.cameras],
            "site": inquiry.site,
            "dataset": inquiry.dataset,
            "since": inquiry.since,
            "until": inquiry.until,
            "split": str(inquiry.split),
            "top_k": inquiry.top_k,
            "min_score": None if inquiry.min_score == -math.inf else inquiry.min_score,
            "expand": look.ranking.is_expanded,
            "spatio_temporal": look.ranking.calibration is not None,
            "rerank": look.ranking.reranked,
            "by_stay": inquiry.by_stay,
            "scan": str(scan),
        },
        hits=len(shown) if stayed is None else sum(len(stay.hits) for stay in stayed),
    )
    return _Told(answer, search)
