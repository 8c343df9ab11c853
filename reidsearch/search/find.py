"""The stored images nearest to a vector, as they are ranked; for many vectors at once."""

import functools
import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reidsearch.catalog import Catalog
from reidsearch.catalog.images import Glimpses
from reidsearch.catalog.records import ImageRecord
from reidsearch.errors import EmptyGallery, ReidsearchError
from reidsearch.learning.neighbours import GalleryNeighbours
from reidsearch.ranking import rerank
from reidsearch.ranking.feedback import Unlike
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.search import stored
from reidsearch.search.answer import Hit
from reidsearch.stores import Matches
from reidsearch.stores.base import Scores
from reidsearch.types import Filter, Ids, Kind, Vectors
from reidsearch.vectors.collection import Collection, vectors_missing

FETCHED = 100  # more matches than asked for, among which times may reorder
WIDENED = 4  # times as many are fetched where these do not suffice


@dataclass(frozen=True, slots=True)
class Scored:
    """A stored image and its score for a probe."""

    score: float
    image: ImageRecord


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sought:
    """What is looked for: the images that are best for one ``vector`` (1 x D) by (-score, id), the
    ``top_k`` best or all, of at least ``min_score``.

    ``kind`` says which stored vectors are compared, by default those that the ranking names.
    ``seen`` is where and when the probe was taken, for a ranking by times (of several, what their
    times add counts on average); ``scale`` multiplies cosines, for the mean of several pictures,
    whose length it is; ``unlike`` takes from the score of who looks like somebody else; ``around``
    are the split's neighbours, for one that is re-ranked among all. Passed over are files whose
    SHA-256 is in ``hidden``, and stored vectors that the catalog does not call indexed. ``margin``
    more than ``top_k`` are fetched at first where times or ``unlike`` may reorder them. With
    ``exact`` all vectors are compared, else as the store does it (``VectorStore.scan``).
    """

    vector: Vectors
    where: Filter
    ranking: Ranking = field(default_factory=Ranking)
    kind: Kind | None = None
    top_k: int | None = None
    min_score: float = -math.inf
    seen: Sighted | None = None
    unlike: Unlike | None = None
    hidden: AbstractSet[str] = frozenset()
    around: GalleryNeighbours | None = None
    margin: int = FETCHED
    scale: float = 1.0
    exact: bool = False

    @property
    def searched(self) -> Kind:
        """The stored vectors that are compared."""
        if self.kind is not None:
            return self.kind
        return Kind.EXPANDED if self.ranking.is_expanded else Kind.PLAIN


def find(collection: Collection, sought: Sought) -> list[Scored]:
    """The images that are sought, the best first. Raises EmptyGallery where the store holds none at
    all, or lacks some that re-ranking needs."""
    (found,) = find_all(collection, [sought])
    if isinstance(found, ReidsearchError):
        raise found
    return found


def find_all(
    collection: Collection, sought: Sequence[Sought]
) -> list[list[Scored] | ReidsearchError]:
    """The same for several at once, each with its own images or error: the store compares the
    vectors of all that search alike in one go, and the catalog is asked once for the images of all.
    What is found of one does not depend on the others."""
    searches = [_Search(one) for one in sought]
    failed: dict[int, ReidsearchError] = {}
    for at, one in enumerate(searches):
        if one.sought.around is not None:
            try:
                one.ranked = _reranked(collection, one.sought, one.sought.around)
            except ReidsearchError as error:
                failed[at] = error
        elif one.sought.ranking.candidates is not None:
            one.ranked = _reranked_among(collection, one.sought, one.sought.ranking.candidates)
    left = [one for at, one in enumerate(searches) if at not in failed]
    while left:
        _fetch(collection, left)
        left = [one for one in left if one.lacks_some]
    best = [one.best for one in searches]
    if not all(one.done for one in searches) and not collection.store.count():
        empty = EmptyGallery(
            "the vector store is empty, though the catalog lists images",
            hint="Ingest again: what is missing is encoded anew.",
        )
        failed = {at: empty for at, one in enumerate(searches) if not one.done} | failed
    ids = sorted({id for some in best for _, id in some})
    described = collection.catalog.images.describe(collection.encoder_id, ids) if ids else {}
    return [
        failed.get(at) or [Scored(score, described[id]) for score, id in some if id in described]
        for at, some in enumerate(best)
    ]


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


class _Search:
    """How far what is sought has been found."""

    def __init__(self, sought: Sought) -> None:
        self.sought = sought
        self.ranked: Matches | None = None  # all of them, where they are re-ranked
        reordered = sought.seen is not None or sought.unlike is not None
        more = sought.margin if reordered or sought.top_k is None else 0
        self.limit = more if sought.top_k is None else sought.top_k + more
        self.done = 0
        self.lacks_some = True
        self._fetched = np.empty(0, dtype=np.int64)
        seen = sought.seen
        self._most_added = 0.0 if seen is None else float(sought.ranking.most_added(seen).max())
        self._ids = np.empty(0, dtype=np.int64)  # of what may be a hit, the best first
        self._scores = np.empty(0, dtype=np.float64)

    @property
    def best(self) -> list[tuple[float, int]]:
        """The scores and ids of what was found."""
        scores, ids = self._scores[: self.sought.top_k], self._ids[: self.sought.top_k]
        enough = scores >= self.sought.min_score
        return list(zip(scores[enough].tolist(), ids[enough].tolist(), strict=True))

    def new(self, matches: Matches) -> Ids:
        """Those rows that were not among what was fetched before."""
        return np.flatnonzero(~np.isin(matches.ids, self._fetched))

    def take(self, matches: Matches, new: Ids, collection: Collection, indexed: Glimpses) -> None:
        """Count in what was fetched, and tell whether more has to be."""
        sought = self.sought
        if sought.scale != 1:
            matches = Matches(matches.ids, matches.scores * sought.scale)
        ids, scores = _scored(matches, new, sought, collection, indexed)
        ids, scores = np.concatenate([self._ids, ids]), np.concatenate([self._scores, scores])
        order = np.lexsort((ids, -scores))
        self._ids, self._scores = ids[order], scores[order]
        self._fetched = np.concatenate([self._fetched, matches.ids[new]])
        self.done = len(matches.ids)
        self.lacks_some = self.done >= self.limit
        if self.lacks_some:
            # What was not fetched is no nearer than the last match, and can gain only so much.
            rest = float(matches.scores[-1]) + self._most_added
            top_k, scores = sought.top_k, self._scores
            enough = top_k is not None and len(scores) >= top_k and scores[top_k - 1] >= rest
            self.lacks_some = not enough and rest >= sought.min_score
        self.limit *= WIDENED


def _fetch(collection: Collection, searches: Sequence[_Search]) -> None:
    """Fetch as many for each as it is to look at."""
    alike: dict[tuple[int, Filter, Kind, bool], list[_Search]] = {}
    found: dict[_Search, Matches] = {}
    for one in searches:
        if one.ranked is not None:
            found[one] = Matches(one.ranked.ids[: one.limit], one.ranked.scores[: one.limit])
        else:
            how = (one.limit, one.sought.where, one.sought.searched, one.sought.exact)
            alike.setdefault(how, []).append(one)
    for (limit, where, kind, exact), some in alike.items():
        vectors = np.concatenate([one.sought.vector for one in some])
        matches = collection.store.search(vectors, limit=limit, where=where, kind=kind, exact=exact)
        found |= zip(some, matches, strict=True)
    new = {one: one.new(matches) for one, matches in found.items()}
    ids = sorted({id for one, rows in new.items() for id in found[one].ids[rows].tolist()})
    indexed = collection.catalog.images.glimpses(collection.encoder_id, ids)
    for one in searches:
        one.take(found[one], new[one], collection, indexed)


def _scored(
    matches: Matches,
    rows: Ids,
    sought: Sought,
    collection: Collection,
    indexed: Glimpses,
) -> tuple[Ids, Scores]:
    """Of some of the matches those that may be hits, as the catalog calls them indexed, with their
    scores."""
    there, known = indexed.at(matches.ids[rows])
    scores = matches.scores[rows][there]
    if sought.hidden:
        shown = np.array([indexed.sha256[row] not in sought.hidden for row in known], dtype=bool)
        known, scores = known[shown], scores[shown]
    if sought.unlike is not None and len(known):
        found, vectors = collection.store.retrieve(indexed.ids[known].tolist())
        order = np.argsort(found)
        kept = np.isin(indexed.ids[known], found)  # the others are being deleted
        known, scores = known[kept], scores[kept]
        place = order[np.searchsorted(found, indexed.ids[known], sorter=order)]
        scores = scores - sought.unlike.penalty(vectors)[place]
    ranking, seen = sought.ranking, sought.seen
    if seen is not None and ranking.calibration is not None and len(known):
        times = indexed.times(known, ranking.calibration.transit.clock)
        each = ranking.added(seen, Sighted(indexed.camera[known], times))
        scores = scores + (each[0] if len(each) == 1 else each.mean(axis=0))
    return indexed.ids[known], scores


def _reranked(collection: Collection, sought: Sought, around: GalleryNeighbours) -> Matches:
    """All images that the filter admits, by re-ranked score."""
    vector, where = sought.vector, sought.where

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


def _reranked_among(collection: Collection, sought: Sought, count: int) -> Matches:
    """The nearest images that the filter admits, so many at most, by re-ranked score: among these
    and the nearest of the whole split."""
    search = functools.partial(
        collection.store.search, sought.vector, limit=count, exact=sought.exact
    )
    (allowed,) = search(where=sought.where)
    wanted = allowed.ids
    if sought.where.narrows:
        (others,) = search(where=Filter(split=sought.where.split))
        wanted = np.union1d(wanted, others.ids)
    ids, vectors = collection.store.retrieve(wanted.tolist())
    if not len(ids):
        return allowed
    order = np.argsort(ids)
    ids, vectors = ids[order], vectors[order]
    (distances,) = next(rerank.rerank(sought.vector, vectors))
    admitted = np.flatnonzero(np.isin(ids, allowed.ids))
    best = admitted[np.argsort(distances[admitted], kind="stable")]
    return Matches(ids[best], 1 - distances[best].astype(np.float64))
