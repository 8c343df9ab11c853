"""The vector store's protocol, and the tie order that every store keeps."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

import numpy as np
from numpy.typing import NDArray

from reidsearch.errors import StoreError
from reidsearch.types import Filter, Ids, Payload, Points, Split, Vectors

# Payload fields, all of which searches filter on, and every store indexes.
KEYWORD_FIELDS = ("split",)
INTEGER_FIELDS = ("camera_id", "dataset_id")
FLOAT_FIELDS = ("time",)
PAYLOAD_FORM = 2  # of payloads with these; the first one had a data set's own camera numbers


EMBEDDED = "embedded"  # the address of a store inside this process
PORTS = {"http": 6333, "https": 443}  # a server's, where its address names none

Scores = NDArray[np.float64]  # N: single precision, as Qdrant's are, widened like Python's floats


@dataclass(frozen=True, slots=True)
class Matches:
    """The N stored vectors nearest to one that was searched for, and their cosine similarities to
    it; by (-score, id)."""

    ids: Ids
    scores: Scores

    def __len__(self) -> int:
        return len(self.ids)


class VectorStore(Protocol):
    """One collection of unit vectors with ids and payloads.

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
        """Insert or replace; on return the points are on disk. Repeating it changes nothing."""

    def describe(self, ids: Sequence[int], payloads: Sequence[Payload]) -> None:
        """Put payloads in place of those of stored points, which keep their vectors. Durable on
        return."""

    def delete(self, ids: Sequence[int]) -> None:
        """Remove points; ids that are not there are ignored. Durable on return."""

    def search(self, vectors: Vectors, *, limit: int, where: Filter) -> list[Matches]:
        """For each of Q vectors the ``limit`` nearest stored ones, by (-score, id). Exact."""

    def scroll(self, *, splits: Sequence[Split] = ()) -> Iterator[tuple[Ids, Vectors]]:
        """The stored vectors of these splits, or of all, in id order, in blocks."""

    def retrieve(self, ids: Sequence[int]) -> tuple[Ids, Vectors]:
        """The stored vectors among these ids, in any order."""

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        """Everything stored, payloads too, in id order, in blocks."""

    def ids(self) -> set[int]:
        """The ids of all stored points."""

    def count(self) -> int:
        """How many points are stored. Cheap, unlike ``ids``."""

    def compact(self) -> bool:
        """Rewrite the files without what was deleted. False where the store does that by itself, at
        a time of its own."""

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


def in_order(fetch: Callable[[int], Matches], limit: int) -> Matches:
    """The ``limit`` best of ``fetch(n)``, by (-score, id).

    Qdrant orders equal scores by chance, and which of them make the cut depends on the limit. So
    one more than needed is fetched, and more again until the last one scores below the cut.
    """
    count = limit + 1
    while True:
        found = fetch(count)
        order = np.lexsort((found.ids, -found.scores))
        ids, scores = found.ids[order], found.scores[order]
        if len(ids) < count or scores[-1] < scores[limit - 1]:
            return Matches(ids[:limit], scores[:limit])
        count *= 2


def as_matches(points: Sequence[Any]) -> Matches:
    """The ids and scores of Qdrant's scored points, in their order."""
    return Matches(
        np.fromiter((point.id for point in points), np.int64, len(points)),
        np.fromiter((point.score for point in points), np.float64, len(points)),
    )


def as_arrays(records: Sequence[Any]) -> tuple[Ids, Vectors]:
    """The ids (N) and vectors (N x D) of Qdrant's records, which hold them as lists of numbers."""
    if not records:
        return np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32)
    # struct turns lists into float32 in half of np.array's time.
    row = struct.Struct(f"{len(records[0].vector)}f")
    data = b"".join([row.pack(*record.vector) for record in records])
    ids = np.array([record.id for record in records], dtype=np.int64)
    return ids, np.frombuffer(data, dtype=np.float32).reshape(len(records), -1)


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


def address_of(url: str) -> str:
    """The address of the server at ``url``, written in one way and without a user, a password or
    a key. Raises StoreError where ``url`` has no usable scheme, host or port."""
    parts, port = _parts(url)
    return _address(parts, port or PORTS[parts.scheme])


def is_at(url: str, address: str) -> bool:
    """Whether ``url`` names the server at ``address``, as ``address_of`` wrote it. Without a port
    it may be at any of the usual ones: https:// did not always stand for 443. Raises as
    ``address_of`` does."""
    parts, port = _parts(url)
    return address in [_address(parts, one) for one in ([port] if port else PORTS.values())]


def _parts(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise not_an_address(url, error) from None
    if parts.scheme not in PORTS:
        raise not_an_address(url, f"{parts.scheme}:// is neither http:// nor https://")
    if not parts.hostname:
        raise not_an_address(url, "it names no host")
    return parts, port


def _address(parts: SplitResult, port: int) -> str:
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def not_an_address(url: str, why: object) -> StoreError:
    """The error of an address that cannot be one."""
    return StoreError(
        f"{url!r} is no Qdrant address: {why}", hint="Write it like http://localhost:6333."
    )
