"""Qdrant Edge: the vector store inside this process, in a folder of the data dir."""

import logging
import math
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import qdrant_edge as qdrant

from reidsearch import faults
from reidsearch.config import EXACT_UP_TO
from reidsearch.errors import StoreError, StoreLocked
from reidsearch.files import bytes_on_disk, copy_folder
from reidsearch.stores import folder, optimiser
from reidsearch.stores.base import (
    EMBEDDED,
    NOTHING,
    OVERSAMPLING,
    UNOPTIMISED,
    VECTOR_NAMES,
    Ailment,
    Matches,
    as_arrays,
    as_matches,
    check_expanded,
    in_order,
    unless_missing,
)
from reidsearch.stores.edge_filters import among, condition, having
from reidsearch.stores.guard import Guard
from reidsearch.types import Filter, Ids, Kind, Payload, Points, Scan, Split, Vectors

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 5.0  # seconds: a query that another process runs is over by then
INTERVAL = 0.1  # seconds between tries
SCROLLED = 128  # vectors at a time: as lists of Python floats they still fit the cache
LISTED = 10_000  # ids at a time
COPIED = 512  # points at a time when a collection is rewritten
WRITTEN = 512  # vectors at a time: as lists of Python floats they take eight times their bytes

# Among quantised copies, testing each vector takes longer than comparing it: a filter that admits
# so many for each probe of a search, and not too small a share, is applied to the NEAREST that a
# search without it finds, and as many more as its share asks for. Images of a camera are like each
# other, so that of the nearest most may be of one that the filter leaves out.
ADMITTED = 20_000
SHARE = 0.05
NEAREST = 1000

_EXACT = qdrant.SearchParams(exact=True)
# Vectors are on disk: as few are read as can be. So many of the best copies were asked for already.
_RESCORED = qdrant.SearchParams(
    quantization=qdrant.QuantizationSearchParams(rescore=True, oversampling=1.0)
)
_COPIES = qdrant.SearchParams(quantization=qdrant.QuantizationSearchParams(rescore=False))


class EdgeStore:
    """A Qdrant Edge shard in the folder ``path``, made where it is missing.

    Only one process at a time can hold a shard. Another waits ``patience`` seconds, then
    StoreLocked is raised. Searches go on while vectors are written, and stop only for the moment in
    which another shard takes this one's place. Among more than ``exact_up_to`` points they look
    through quantised copies of their vectors, from when these are optimised.
    """

    address = EMBEDDED

    def __init__(
        self,
        path: Path,
        *,
        dimension: int,
        patience: float = PATIENCE,
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        self.path = path
        self.dimension = dimension
        self._patience = patience
        self._exact_up_to = exact_up_to
        self._guard = Guard()  # of the shard: calls use it, what replaces or closes it changes it
        self._writing = threading.Lock()  # a compaction must not miss what is written meanwhile
        self._shard: qdrant.EdgeShard | None = self._open()

    @property
    def owner(self) -> str | None:
        return self._call(lambda _: folder.owner(self.path))

    def claim(self, owner: str) -> None:
        with self._writing:
            self._call(lambda _: folder.set_owner(self.path, owner))

    def upsert(self, points: Points) -> None:
        if not len(points.ids):
            return
        rows = zip(points.ids.tolist(), points.vectors.tolist(), points.payloads, strict=True)
        folder.require_space(self.path)
        operation = qdrant.UpdateOperation.upsert_points([qdrant.Point(*row) for row in rows])
        self._write([operation])

    def write_expanded(self, ids: Ids, vectors: Vectors) -> None:
        check_expanded(ids, vectors, self.dimension)
        if len(ids):
            self._write(self._expanding(ids, vectors))

    def drop_expanded(self) -> None:
        name = VECTOR_NAMES[Kind.EXPANDED]
        self._write([qdrant.UpdateOperation.delete_vector_name(name)])

    def describe(self, ids: Sequence[int], payloads: Sequence[Payload]) -> None:
        overwrite = qdrant.UpdateOperation.overwrite_payload
        folder.require_space(self.path)
        self._write(overwrite([id], told) for id, told in zip(ids, payloads, strict=True))

    def delete(self, ids: Sequence[int]) -> None:
        self._write([qdrant.UpdateOperation.delete_points(list(ids))])

    @property
    def scan(self) -> Scan:
        return self._call(lambda _: self._scan)

    @property
    def optimise_due(self) -> bool:
        if self.count() <= self._exact_up_to:
            return False
        return self.scan is Scan.EXACT or folder.unoptimised(self.path) >= UNOPTIMISED

    def optimise(self) -> bool:
        """Optimise a copy, which then takes this shard's place: in another process, as Edge stops
        all of its own meanwhile. Where that fails, all stays as it is."""
        with self._writing:
            if not self.optimise_due:
                return False
            new, _ = folder.beside(self.path)
            shutil.rmtree(new, ignore_errors=True)
            try:
                folder.require_space(self.path, 2 * bytes_on_disk(self.path))
                self._call(lambda _: copy_folder(self.path, new))
                faults.reach("collection copied")
                optimiser.optimise(new)
                faults.reach("collection optimised")
            except StoreError as error:
                shutil.rmtree(new, ignore_errors=True)
                log.warning("Searches take longer than they could: %s", error.message)
                return False
            self._put_in_place(new)
        return True

    def search(
        self,
        vectors: Vectors,
        *,
        limit: int,
        where: Filter,
        kind: Kind = Kind.PLAIN,
        exact: bool = False,
    ) -> list[Matches]:
        considered = condition(where)

        def search_all(shard: qdrant.EdgeShard) -> list[Matches]:
            exactly = exact or self._scan is Scan.EXACT
            compared = _EXACT if exactly else _RESCORED
            share = 0.0 if exactly else _share(shard, considered, probes=len(vectors))
            rows = vectors.tolist()

            def ask(
                queries: Sequence[list[float]],
                limit: int,
                filters: Sequence[qdrant.Filter | None],
                params: qdrant.SearchParams,
            ) -> list[list[qdrant.ScoredPoint]]:
                requests = [
                    qdrant.QueryRequest(
                        query=qdrant.Query.Nearest(query, VECTOR_NAMES[kind]),
                        limit=limit,
                        filter=filter,
                        params=params,
                    )
                    for query, filter in zip(queries, filters, strict=True)
                ]
                # One pass over the vectors for all of them, with the scores that each has alone.
                return shard.query_batch(qdrant.QueryBatchRequest(requests))

            def fetch(some: Sequence[int], count: int) -> list[Matches]:
                queries = [rows[one] for one in some]
                found: list[list[qdrant.ScoredPoint]] = [[] for _ in queries]
                lacking = list(range(len(queries)))
                most = count if exactly else math.ceil(OVERSAMPLING * count)
                if share:
                    enough = NEAREST + math.ceil(most / share)
                    near = ask(queries, enough, [None] * len(queries), _COPIES)
                    found = ask(queries, most, [among(one, considered) for one in near], compared)
                    lacking = [
                        at
                        for at, points in enumerate(found)
                        if len(points) < most and len(near[at]) == enough
                    ]
                if lacking:
                    left = [queries[at] for at in lacking]
                    rest = ask(left, most, [considered] * len(left), compared)
                    for at, points in zip(lacking, rest, strict=True):
                        found[at] = points
                return [as_matches(points[:count]) for points in found]

            return in_order(fetch, len(rows), limit)

        return unless_missing(kind, lambda: self._call(search_all), [NOTHING] * len(vectors))

    def scroll(
        self, *, splits: Sequence[Split] = (), kind: Kind = Kind.PLAIN
    ) -> Iterator[tuple[Ids, Vectors]]:
        for found in self._records(SCROLLED, kind=kind, splits=splits):
            yield as_arrays(found, kind)

    def retrieve(self, ids: Sequence[int], *, kind: Kind = Kind.PLAIN) -> tuple[Ids, Vectors]:
        wanted = [VECTOR_NAMES[kind]]

        def retrieve() -> list[qdrant.Record]:
            return self._call(lambda shard: shard.retrieve(list(ids), False, wanted))

        return as_arrays(unless_missing(kind, retrieve, []), kind)

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        for found in self._records(COPIED, kind=Kind.PLAIN, with_payload=True):
            yield *as_arrays(found, Kind.PLAIN), [record.payload or {} for record in found]

    def ids(self) -> set[int]:
        return {int(r.id) for block in self._records(LISTED, kind=None) for r in block}

    def stored(self, ids: Sequence[int]) -> set[int]:
        found: set[int] = set()
        for start in range(0, len(ids), LISTED):
            some = list(ids[start : start + LISTED])
            page = self._call(lambda shard, some=some: shard.retrieve(some, False, False))  # type: ignore[misc]
            found |= {int(record.id) for record in page}
        return found

    def count(self) -> int:
        return self._call(lambda shard: shard.count(qdrant.CountRequest(exact=True)))

    def ailments(self) -> Sequence[Ailment]:
        return ()

    def adjust(self) -> None:
        pass  # it is always kept in one way

    def compact(self) -> bool:
        """Copy what is stored into a new folder, which then takes this one's place.

        Edge keeps the bytes of deleted vectors in its segments and of all in its log; a copy has
        neither. A process that dies on the way leaves one of the two whole, and ``_recover`` knows
        which.
        """
        with self._writing:
            owner = self.owner
            new, _ = folder.beside(self.path)
            shutil.rmtree(new, ignore_errors=True)
            copy = EdgeStore(new, dimension=self.dimension)
            try:
                for ids, vectors, payloads in self.records():
                    copy.upsert(Points(ids, vectors, payloads))
                for found in self._records(COPIED, kind=Kind.EXPANDED):
                    copy.write_expanded(*as_arrays(found, Kind.EXPANDED))
                if owner is not None:
                    copy.claim(owner)
            finally:
                copy.close()
            faults.reach("collection copied")
            self._put_in_place(new)
        self.optimise()
        return True

    def _put_in_place(self, new: Path) -> None:
        """Let a copy of the collection take this one's place."""
        _, old = folder.beside(self.path)
        with self._guard.change():
            self._release()
            self.path.rename(old)
            faults.reach("collection aside")
            new.rename(self.path)
            faults.reach("collection swapped")
            shutil.rmtree(old)
            self._shard = self._open()

    def recreate(self) -> None:
        with self._writing, self._guard.change():
            self._held()
            owner = folder.owner(self.path)
            self._release()
            shutil.rmtree(self.path, ignore_errors=True)
            self._shard = self._open()
            if owner is not None:
                folder.set_owner(self.path, owner)

    def delete_collection(self) -> None:
        with self._writing, self._guard.change():
            self._held()
            self._release()
            _, old = folder.beside(self.path)
            self.path.rename(old)  # or a process that dies here would leave half a shard
            faults.reach("collection put aside")
            shutil.rmtree(old)
            faults.reach("collection deleted")

    def abandon(self) -> None:
        """Nothing here waits for anybody."""

    def close(self) -> None:
        with self._guard.change():
            self._release()

    def _open(self) -> qdrant.EdgeShard:
        def load() -> qdrant.EdgeShard:
            return folder.translated(
                self.path, lambda: folder.load_or_create(self.path, self.dimension)
            )

        try:
            shard = load()
        except StoreLocked:
            # Imported here: most commands need not wait, and it takes longer than opening a shard.
            from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

            shard = Retrying(
                retry=retry_if_exception_type(StoreLocked),
                stop=stop_after_delay(self._patience),
                wait=wait_fixed(INTERVAL),
                reraise=True,
            )(load)
        self._scan = Scan.QUANTISED if folder.is_quantised(self.path) else Scan.EXACT
        return shard

    def _release(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def _held(self) -> qdrant.EdgeShard:
        if self._shard is None:
            raise StoreError(f"the vector store {self.path} is closed")
        return self._shard

    def _records(
        self,
        block: int,
        *,
        kind: Kind | None,
        with_payload: bool = False,
        splits: Sequence[Split] = (),
    ) -> Iterator[list[qdrant.Record]]:
        """All points of these splits with their vectors of that ``kind``, or without vectors."""
        offset = None
        none: tuple[list[qdrant.Record], None] = ([], None)
        where = having(splits, kind)
        while True:
            request = qdrant.ScrollRequest(
                offset=offset,
                limit=block,
                filter=where,
                with_vector=False if kind is None else [VECTOR_NAMES[kind]],
                with_payload=with_payload,
            )
            page = partial(self._call, lambda shard, request=request: shard.scroll(request))  # type: ignore[misc]
            found, offset = unless_missing(kind, page, none)
            if found:
                yield found
            if offset is None:
                return

    def _expanding(self, ids: Ids, vectors: Vectors) -> Iterator[qdrant.UpdateOperation]:
        """What writes these expanded vectors, made when its turn comes."""
        name = VECTOR_NAMES[Kind.EXPANDED]
        folder.require_space(self.path)
        yield qdrant.UpdateOperation.create_dense_vector(  # does nothing where it is there
            name, self.dimension, qdrant.Distance.Dot
        )
        for start in range(0, len(ids), WRITTEN):
            folder.require_space(self.path)
            rows = slice(start, start + WRITTEN)
            pairs = zip(ids[rows].tolist(), vectors[rows].tolist(), strict=True)
            yield qdrant.UpdateOperation.update_vectors(
                [qdrant.PointVectors(id, {name: vector}) for id, vector in pairs]
            )

    def _write(self, operations: Iterable[qdrant.UpdateOperation]) -> None:
        def write(shard: qdrant.EdgeShard) -> None:
            for operation in operations:
                shard.update(operation)
            faults.reach("upserted")
            shard.flush()  # only now is it on disk, segments included

        with self._writing:
            self._call(write)

    def _call(self, action: Callable[[qdrant.EdgeShard], T]) -> T:
        with self._guard.use():
            shard = self._held()
            return folder.translated(self.path, lambda: action(shard))


def _share(shard: qdrant.EdgeShard, condition: qdrant.Filter, *, probes: int) -> float:
    """About which share of the stored points fits, where that is better tested on those that are
    found for so many ``probes`` without it; else 0."""
    every = shard.count(qdrant.CountRequest(exact=False))
    fitting = shard.count(qdrant.CountRequest(filter=condition, exact=False))
    if fitting < max(ADMITTED * probes, SHARE * every):
        return 0.0
    return fitting / max(every, 1)
