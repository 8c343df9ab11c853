"""The vector store's protocol, and the tie order that every store keeps."""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reidsearch.types import Filter, Ids, Payload, Points, Sighting, Split, Vectors

# Payload fields that searches filter on. Every store indexes them.
KEYWORD_FIELDS = ("split",)
INTEGER_FIELDS = ("camera", "identity")


@dataclass(frozen=True, slots=True)
class Match:
    """A stored vector and its cosine similarity to the one searched for."""

    id: int
    score: float


class VectorStore(Protocol):
    """One collection of unit vectors with ids and payloads.

    Every method raises StoreError (StoreLocked, StoreUnreachable) where the store fails.
    """

    def upsert(self, points: Points) -> None:
        """Insert or replace; on return the points are on disk. Repeating it changes nothing."""

    def delete(self, ids: Sequence[int]) -> None:
        """Remove points; ids that are not there are ignored. Durable on return."""

    def search(self, vectors: Vectors, *, limit: int, where: Filter) -> list[list[Match]]:
        """For each of Q vectors the ``limit`` nearest stored ones, by (-score, id). Exact."""

    def scroll(self, *, splits: Sequence[Split] = ()) -> Iterator[tuple[Ids, Vectors]]:
        """The stored vectors of these splits, or of all, in id order, in blocks."""

    def retrieve(self, ids: Sequence[int]) -> tuple[Ids, Vectors]:
        """The stored vectors among these ids, in any order."""

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        """Everything stored, payloads too, in id order, in blocks."""

    def ids(self) -> set[int]:
        """The ids of all stored points."""

    def compact(self) -> bool:
        """Rewrite the files without what was deleted. False where the store does that by itself, at
        a time of its own."""

    def recreate(self) -> None:
        """An empty collection in place of this one."""

    def abandon(self) -> None:
        """Wait no longer for a store that does not answer: calls under way fail at their next
        try."""

    def close(self) -> None:
        """Release the store. Idempotent."""


def in_order(fetch: Callable[[int], Iterable[Match]], limit: int) -> list[Match]:
    """The ``limit`` best of ``fetch(n)``, by (-score, id).

    Qdrant orders equal scores by chance, and which of them make the cut depends on the limit. So
    one more than needed is fetched, and more again until the last one scores below the cut.
    """
    count = limit + 1
    while True:
        matches = sorted(fetch(count), key=lambda m: (-m.score, m.id))
        if len(matches) < count or matches[-1].score < matches[limit - 1].score:
            return matches[:limit]
        count *= 2


def as_arrays(records: Sequence[Any]) -> tuple[Ids, Vectors]:
    """The ids (N) and vectors (N x D) of Qdrant's records, which hold them as lists of numbers."""
    if not records:
        return np.empty(0, dtype=np.int64), np.empty((0, 0), dtype=np.float32)
    # struct turns lists into float32 in half of np.array's time.
    row = struct.Struct(f"{len(records[0].vector)}f")
    data = b"".join([row.pack(*record.vector) for record in records])
    ids = np.array([record.id for record in records], dtype=np.int64)
    return ids, np.frombuffer(data, dtype=np.float32).reshape(len(records), -1)


def payload(seen: Sighting) -> Payload:
    """What a vector store is told of a sighting: what is known of camera, identity, sequence and
    frame, and the split."""
    fields = {
        "camera": seen.camera,
        "identity": seen.identity,
        "sequence": seen.sequence,
        "frame": seen.frame,
        "split": str(seen.split),
    }
    return {key: value for key, value in fields.items() if value is not None}
