"""An encoder's vectors, carried from one store to another: each is held against the checksum that
the catalog has of it, where it leaves and where it arrives.

What is to arrive the catalog says; what has arrived, and is right, is not carried again: so it can
be cut short anywhere and begun anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reidsearch import faults
from reidsearch.catalog import Catalog, State
from reidsearch.errors import StoreError
from reidsearch.hashes import checksums
from reidsearch.stores import VectorStore
from reidsearch.types import Ids, Kind, Points, Vectors
from reidsearch.vectors.collection import Collection, payload_of

CARRIED = 1024  # vectors at a time


class Source(Protocol):
    """What has vectors, and where that is."""

    @property
    def address(self) -> str: ...

    def retrieve(self, ids: Sequence[int], *, kind: Kind = Kind.PLAIN) -> tuple[Ids, Vectors]:
        """As ``VectorStore.retrieve``."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What is in its new place, and right: ``vectors`` and ``expanded`` ones, of which so many were
    ``written`` now. ``anew`` expanded ones were not brought along, and are to be made again."""

    vectors: int
    expanded: int
    written: int
    anew: int


def carry(
    collection: Collection,
    source: Source,
    target: VectorStore,
    *,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Carried:
    """Bring the vectors of ``collection`` that are in ``source`` to ``target``, with their
    payloads; what else is there goes. ``on_progress`` is told how many of how many were written.

    Expanded vectors that are not what the catalog says are noted to be made anew. Raises StoreError
    where a vector is missing in ``source`` or not the one that was stored, and where ``target``
    gives back another than it was given.
    """
    catalog, encoder_id = collection.catalog, collection.encoder_id
    add_checksums(collection, source)
    wanted = _Wanted.of(catalog, encoder_id)
    wrong, strange = _differing(wanted, target, catalog)
    if strange:
        target.delete(strange)
    anew: set[int] = set()
    for start in range(0, len(wrong), CARRIED):
        some = wrong[start : start + CARRIED]
        anew |= _carry(wanted, some, source, target, catalog)
        faults.reach("vectors carried")
        on_progress(start + len(some), len(wrong))
    if anew:
        catalog.expansions.outdate(encoder_id, sorted(anew))
    if wrong or strange:
        wanted = wanted.without_expanded(anew)
        left, strange = _differing(wanted, target, catalog)
        if left or strange:
            raise StoreError(
                f"{len(left) + len(strange)} of the vectors that {target.address} gives back are "
                "not those that were written",
                hint="The old place stays in use. Look into the server's or the disk's log, and "
                "run {same_call} again.",
            )
    faults.reach("vectors verified")
    return Carried(
        vectors=len(wanted.checksums),
        expanded=len(wanted.expanded),
        written=len(wrong),
        anew=len(anew),
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be stored: id -> checksum of all vectors, and of expanded ones."""

    checksums: Mapping[int, int]
    expanded: Mapping[int, int]

    @classmethod
    def of(cls, catalog: Catalog, encoder_id: int) -> "_Wanted":
        indexed = catalog.embeddings.indexed_ids(encoder_id)
        sums = catalog.embeddings.checksums(encoder_id)
        known = {id: sum for id, sum in sums.items() if id in indexed and sum is not None}
        if len(known) < len(indexed):
            raise _damaged(
                "the store", len(indexed) - len(known), missing=len(indexed) - len(known)
            )
        made = catalog.expansions.checksums(encoder_id)
        return cls(known, {id: sum for id, sum in made.items() if id in known})

    def without_expanded(self, ids: set[int]) -> "_Wanted":
        kept = {id: sum for id, sum in self.expanded.items() if id not in ids}
        return _Wanted(self.checksums, kept)


def _differing(
    wanted: _Wanted, store: VectorStore, catalog: Catalog
) -> tuple[list[int], list[int]]:
    """The ids, ascending, of what is not stored as it should be, and of what should not be."""
    right: set[int] = set()
    strange: list[int] = []
    for ids, vectors, payloads in store.records():
        described = {image.id: payload_of(image) for image in catalog.images.of(ids.tolist())}
        for id, sum, told in zip(ids.tolist(), checksums(vectors), payloads, strict=True):
            if id not in wanted.checksums:
                strange.append(id)
            elif sum == wanted.checksums[id] and told == described[id]:
                right.add(id)
    missing = set(wanted.expanded)
    for ids, vectors in store.scroll(kind=Kind.EXPANDED):
        for id, sum in zip(ids.tolist(), checksums(vectors), strict=True):
            missing.discard(id)
            if sum != wanted.expanded.get(id):
                right.discard(id)
    right -= missing
    return sorted(wanted.checksums.keys() - right), strange


def _carry(
    wanted: _Wanted,
    ids: Sequence[int],
    source: Source,
    target: VectorStore,
    catalog: Catalog,
) -> set[int]:
    """Write these points; returns the ids of those whose expanded vectors stayed behind."""
    found, vectors = _in_order(*source.retrieve(ids))
    sums = dict(zip(found.tolist(), checksums(vectors), strict=True))
    damaged = [id for id in ids if sums.get(id) != wanted.checksums[id]]
    if damaged:
        missing = sum(id not in sums for id in damaged)
        raise _damaged(source.address, len(damaged), missing=missing)
    described = {image.id: payload_of(image) for image in catalog.images.of(list(ids))}
    target.upsert(Points(found, vectors, [described[id] for id in found.tolist()]))
    carrying = [id for id in ids if id in wanted.expanded]
    if not carrying:
        return set()
    found, vectors = _in_order(*source.retrieve(carrying, kind=Kind.EXPANDED))
    sums_of = zip(found.tolist(), checksums(vectors), strict=True)
    right = np.array([wanted.expanded[id] == sum for id, sum in sums_of], dtype=bool)
    if right.any():
        target.write_expanded(found[right], vectors[right])
    return set(carrying) - set(found[right].tolist())


def _damaged(where: str, count: int, *, missing: int) -> StoreError:
    return StoreError(
        f"{count} of the vectors in {where} are not those that were stored ({missing} are missing)",
        hint="{doctor_fix} mends that. Nothing was changed where the vectors are.",
    )


def _in_order(ids: Ids, vectors: Vectors) -> tuple[Ids, Vectors]:
    order: NDArray[np.intp] = np.argsort(ids)
    return ids[order], vectors[order]


def add_checksums(collection: Collection, store: Source) -> None:
    """Record those of vectors that were stored before there were any."""
    catalog, encoder_id = collection.catalog, collection.encoder_id
    rows = catalog.embeddings.all(encoder_id)
    without = [r.image_id for r in rows if r.state is State.INDEXED and r.checksum is None]
    for start in range(0, len(without), CARRIED):
        ids, vectors = store.retrieve(without[start : start + CARRIED])
        sums = dict(zip(ids.tolist(), checksums(vectors), strict=True))
        catalog.embeddings.set_checksums(encoder_id, sums)
