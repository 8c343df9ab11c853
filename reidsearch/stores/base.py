"""The vector store's protocol, and the tie order that every store keeps."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import StoreError
from reidsearch.types import Filter, Ids, Kind, Payload, Points, Scan, Split, Vectors, is_unit

# Payload fields, all of which searches filter on, and every store indexes.
KEYWORD_FIELDS = ("split",)
INTEGER_FIELDS = ("camera_id", "dataset_id")
FLOAT_FIELDS = ("time",)
PAYLOAD_FORM = 2  # of payloads with these; the first one had a data set's own camera numbers
# Vectors that may wait to be optimised: comparing them takes a few milliseconds.
UNOPTIMISED = 10_000
OVERSAMPLING = 2.0  # times as many copies as are asked for are compared once more in full
VECTOR_NAMES = {Kind.PLAIN: "", Kind.EXPANDED: "expanded"}  # Qdrant's; "" is the unnamed one

T = TypeVar("T")

EMBEDDED = "embedded"  # the address of a store inside this process

Scores = NDArray[np.float64]  # N: single precision, as Qdrant's are, widened like Python's floats


@dataclass(frozen=True, slots=True)
class Matches:
    """The N stored vectors nearest to one that was searched for, and their cosine similarities to
    it; by (-score, id)."""

    ids: Ids
    scores: Scores

    def __len__(self) -> int:
        return len(self.ids)


NOTHING = Matches(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))


class NoSuchVector(StoreError):
    """The collection has no vector of that name."""


class Trouble(StrEnum):
    """What can be amiss with how a store keeps a collection."""

    SETTINGS = "settings"  # not as they say
    STATE = "state"  # the server says that the collection is not in order
    REPLICA = "replica"  # one of a cluster's is not in use
    VERSION = "version"  # the server's is not one that this was tried with


@dataclass(frozen=True, slots=True)
class Ailment:
    """One ``trouble`` with a collection; ``what`` it is, in words."""

    trouble: Trouble
    what: str


class VectorStore(Protocol):
    """One collection of unit vectors with ids and payloads.

    Each point has its plain vector, and an expanded one from when that is written. Points without
    one are not among what is found of expanded vectors; where none was ever written, nothing is
    found, and nothing more is stored.

    Many threads may use one store at once. Each call sees a whole collection, whatever others do to
    it; blocks that come one after the other are each read when their turn comes.

    Every method raises StoreError (StoreLocked, StoreUnreachable) where the store fails or is
    closed.
    """

    @property
    def address(self) -> str:
        """Where the store is, without secrets: EMBEDDED, or a server's address."""

    @property
    def owner(self) -> str | None:
        """Whose the collection is, as ``claim`` was told; None where nobody has claimed it, or the
        server is too old to remember."""

    def claim(self, owner: str) -> None:
        """Write down whose the collection is, in place of what stood there; what is stored stays.
        ``compact`` and ``recreate`` keep it."""

    def upsert(self, points: Points) -> None:
        """Insert or replace, whole: an expanded vector that a point had is gone. On return the
        points are on disk. Repeating it changes nothing."""

    def write_expanded(self, ids: Ids, vectors: Vectors) -> None:
        """Set the expanded vectors (M x D) of stored points (M ids), whose plain vectors and
        payloads stay. Durable on return; repeating it changes nothing.

        Raises StoreError where a point is not stored, or the server is too old for second vectors;
        others may be written then. Raises ValueError before anything is written, on lengths that
        differ, and on vectors that are not of unit length or not of D numbers.
        """

    def drop_expanded(self) -> None:
        """Remove all expanded vectors; where there are none, nothing changes. Durable on return."""

    def describe(self, ids: Sequence[int], payloads: Sequence[Payload]) -> None:
        """Put payloads in place of those of stored points, which keep their vectors, the expanded
        ones as well. Durable on return."""

    def delete(self, ids: Sequence[int]) -> None:
        """Remove points; ids that are not there are ignored. Durable on return."""

    @property
    def scan(self) -> Scan:
        """How searches that need not be exact look through what is stored now."""

    @property
    def optimise_due(self) -> bool:
        """Whether there is something for ``optimise`` to do."""

    def optimise(self) -> bool:
        """Bring what was written into the form in which many vectors take the least time and
        memory, where there are many, and enough is new; whether there was. What is stored stays,
        and searches go on meanwhile, but for a moment at the end. It is due after many were
        written."""

    def search(
        self,
        vectors: Vectors,
        *,
        limit: int,
        where: Filter,
        kind: Kind = Kind.PLAIN,
        exact: bool = False,
    ) -> list[Matches]:
        """For each of Q vectors the ``limit`` nearest stored ones of that ``kind``, by
        (-score, id). Scores are those of the vectors in full. Whether some of the nearest may be
        missing, ``scan`` says; with ``exact`` none are."""

    def scroll(
        self, *, splits: Sequence[Split] = (), kind: Kind = Kind.PLAIN
    ) -> Iterator[tuple[Ids, Vectors]]:
        """The stored vectors of that ``kind``, of these splits or of all, in id order, in
        blocks."""

    def retrieve(self, ids: Sequence[int], *, kind: Kind = Kind.PLAIN) -> tuple[Ids, Vectors]:
        """The stored vectors of that ``kind`` among these ids, in any order."""

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        """All points with their plain vectors, as ``upsert`` takes them, in id order, in blocks.
        With what ``scroll`` says of expanded vectors, that is everything stored."""

    def ids(self) -> set[int]:
        """The ids of all stored points."""

    def stored(self, ids: Sequence[int]) -> set[int]:
        """Those of these ids that are stored. Takes as long as there are of them, however much
        else is stored."""

    def count(self) -> int:
        """How many points are stored. Cheap, unlike ``ids``."""

    def ailments(self) -> Sequence[Ailment]:
        """What is amiss with how the collection is kept, apart from what is in it. Nothing ever is
        in this process."""

    def adjust(self) -> None:
        """Keep the collection as the settings say, as far as it can stay where it is; a cluster
        goes on with that for a while after the return."""

    def compact(self) -> bool:
        """Rewrite the files without what was deleted or replaced. False where the store does that
        by itself, at a time of its own."""

    def recreate(self) -> None:
        """An empty collection in place of this one."""

    def delete_collection(self) -> None:
        """Delete the collection itself; then there is nothing to do with the store but to close
        it."""

    def abandon(self) -> None:
        """Wait no longer for a store that does not answer: calls under way fail at their next
        try."""

    def close(self) -> None:
        """Release the store. Idempotent."""


def in_order(
    fetch: Callable[[Sequence[int], int], list[Matches]], probes: int, limit: int
) -> list[Matches]:
    """For each of so many ``probes`` the ``limit`` best, by (-score, id); ``fetch(some, n)`` finds
    the n best of some of them, which are numbers from 0 on.

    Qdrant orders equal scores by chance, and which of them make the cut depends on the limit. So
    one more than needed is fetched, and more again until the last one scores below the cut.
    """
    best: dict[int, Matches] = {}
    wanted, count = list(range(probes)), limit + 1
    while wanted:
        for probe, found in zip(wanted, fetch(wanted, count), strict=True):
            order = np.lexsort((found.ids, -found.scores))
            ids, scores = found.ids[order], found.scores[order]
            if len(ids) < count or scores[-1] < scores[limit - 1]:
                best[probe] = Matches(ids[:limit], scores[:limit])
        wanted = [probe for probe in wanted if probe not in best]
        count *= 2
    return [best[probe] for probe in range(probes)]


def as_matches(points: Sequence[Any]) -> Matches:
    """The ids and scores of Qdrant's scored points, in their order."""
    return Matches(
        np.fromiter((point.id for point in points), np.int64, len(points)),
        np.fromiter((point.score for point in points), np.float64, len(points)),
    )


def as_arrays(records: Sequence[Any], kind: Kind) -> tuple[Ids, Vectors]:
    """The ids (N) and vectors of that ``kind`` (N x D) of those of Qdrant's records that have one.

    A record's vector is a list of numbers where it is the unnamed one alone, and else a dictionary
    of such lists by name.
    """
    name = VECTOR_NAMES[kind]
    ids, rows = [], []
    for record in records:
        vector = record.vector
        if isinstance(vector, dict):
            vector = vector.get(name)
        if vector:
            ids.append(record.id)
            # struct turns lists into float32 in half of np.array's time.
            rows.append(struct.pack(f"{len(vector)}f", *vector))
    if not ids:
        return np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32)
    data = np.frombuffer(b"".join(rows), dtype=np.float32)
    return np.array(ids, dtype=np.int64), data.reshape(len(ids), -1)


def check_expanded(ids: Ids, vectors: Vectors, dimension: int) -> None:
    """Raise ValueError where these cannot be the expanded vectors of these points; why that must
    not reach a store, ``Points`` says."""
    if vectors.shape != (len(ids), dimension):
        raise ValueError(f"{len(ids)} ids and {dimension} numbers each, but {vectors.shape}")
    if not is_unit(vectors).all():
        raise ValueError("vectors must be finite and of unit length")


def unless_missing(kind: Kind | None, find: Callable[[], T], otherwise: T) -> T:
    """What ``find`` finds among vectors of that ``kind``; ``otherwise`` where none was ever
    written."""
    try:
        return find()
    except NoSuchVector:
        if kind is not Kind.EXPANDED:
            raise
        return otherwise


def refused(said: str, what: str) -> StoreError | None:
    """The error ``what`` of a call that Qdrant refused, where its sentence is one of those that
    mean the same in every store."""
    if "Not existing vector name" in said:
        return NoSuchVector(what)
    if "No point with id" in said:
        hint = "A point that the catalog lists is missing. Ingest again: it is encoded anew."
        return StoreError(what, hint=hint)
    return None


def payload(
    *, split: Split, dataset_id: int, camera_id: int | None, timestamp: float | None
) -> Payload:
    """What a vector store is told of an image: what is known of what searches filter on, by the
    catalog's ids and in seconds since 1970 UTC."""
    known: Payload = {"split": str(split), "dataset_id": dataset_id}
    if camera_id is not None:
        known["camera_id"] = camera_id
    if timestamp is not None:
        known["time"] = timestamp
    return known


def one_of(where: Filter) -> dict[str, list[str] | list[int]]:
    """Of which values a payload has one where a search considers it, by its fields."""
    asked: dict[str, list[str] | list[int]] = {
        "split": [str(where.split)],
        "camera_id": list(where.cameras),
        "dataset_id": list(where.datasets),
    }
    return {key: values for key, values in asked.items() if values}
