"""A Qdrant server or cluster, through qdrant-client; also its in-memory mode, for tests."""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from reidsearch import faults
from reidsearch.config import EXACT_UP_TO
from reidsearch.errors import StoreElsewhere, StoreError
from reidsearch.stores import layout as layouts
from reidsearch.stores import refusals
from reidsearch.stores.allowance import READ, Allowance
from reidsearch.stores.base import (
    NOTHING,
    OVERSAMPLING,
    VECTOR_NAMES,
    Ailment,
    Matches,
    as_arrays,
    as_matches,
    check_expanded,
    in_order,
    unless_missing,
)
from reidsearch.stores.connection import MEMORY, Connection, Patience
from reidsearch.stores.guard import Guard
from reidsearch.stores.layout import EXPANDED, OWNER, Ask, Layout
from reidsearch.stores.server_filters import condition, having
from reidsearch.types import Filter, Ids, Kind, Payload, Points, Scan, Split, Vectors

T = TypeVar("T")

PATIENCE = Patience()
SCROLLED = 2048  # vectors in one answer
COPIED = 512  # the same, with payloads
UPSERT_BATCH = 256  # points; 512-d vectors make about 3 MB of JSON, a server takes 32
LAYOUT = Layout()

_PARAMS = {
    Scan.EXACT: models.SearchParams(exact=True),
    Scan.QUANTISED: models.SearchParams(
        quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
    ),
}


class ServerStore:
    """The collection ``collection`` on the server at ``url``, made where it is missing, or else,
    without ``make``, StoreElsewhere is raised.

    ``url`` may name several nodes of a cluster, with commas between: the next one is asked where
    one does not answer. It may be MEMORY. ``api_key`` is sent with every request where given.
    ``batch`` points at most go into one request, and fewer where the server, or a proxy before it,
    takes no more. The collection is made as the ``layout`` says; where it is quantised, and holds
    more than ``exact_up_to`` points, searches look through the copies. Raises StoreUnreachable
    where nothing answers.
    """

    def __init__(
        self,
        url: str,
        *,
        collection: str,
        dimension: int,
        api_key: str | None = None,
        patience: Patience = PATIENCE,
        batch: int = UPSERT_BATCH,
        make: bool = True,
        layout: Layout = LAYOUT,
        exact_up_to: int = EXACT_UP_TO,
    ) -> None:
        self.url = url
        self.collection = collection
        self.dimension = dimension
        self._connection = Connection(url, api_key=api_key, patience=patience)
        self.address = self._connection.address
        self._allowance = Allowance(batch)
        self._make = make
        self._patience = patience
        self._layout = layout
        self._exact_up_to = exact_up_to
        self._scanned: Scan | None = None  # once it was asked for, until more is written
        self._guard = Guard()  # of the collection: calls use it, making it anew changes it
        self._indexing = threading.Lock()
        self._indexed = url == MEMORY  # it has no payload indexes, and warns about each
        try:
            self._make_missing(self._opening)
        except StoreError:
            self._connection.close()
            raise

    @property
    def owner(self) -> str | None:
        return self._call(self._owner)

    def claim(self, owner: str) -> None:
        # An older server passes over what it does not know.
        self._call(lambda c: c.update_collection(self.collection, metadata={OWNER: owner}))

    def upsert(self, points: Points) -> None:
        self._index()

        def send(rows: slice) -> None:
            batch = models.Batch(
                ids=points.ids[rows].tolist(),
                vectors=points.vectors[rows].tolist(),
                payloads=points.payloads[rows],
            )
            self._call(lambda c: c.upsert(self.collection, batch, wait=True))

        self._allowance.write(len(points.ids), send)
        self._scanned = None

    def write_expanded(self, ids: Ids, vectors: Vectors) -> None:
        check_expanded(ids, vectors, self.dimension)
        if not len(ids):
            return
        self._add_expanded()

        def send(rows: slice) -> None:
            pairs = zip(ids[rows].tolist(), vectors[rows].tolist(), strict=True)
            batch = [models.PointVectors(id=id, vector={EXPANDED: vector}) for id, vector in pairs]
            self._call(lambda c: c.update_vectors(self.collection, batch, wait=True))

        self._allowance.write(len(ids), send)

    def drop_expanded(self) -> None:
        def drop(client: QdrantClient) -> None:
            if self._has_expanded(client):
                client.delete_vector_name(self.collection, EXPANDED, wait=True)

        self._call(drop)

    def describe(self, ids: Sequence[int], payloads: Sequence[Payload]) -> None:
        self._index()
        told = [
            models.OverwritePayloadOperation(
                overwrite_payload=models.SetPayload(payload=payload, points=[id])
            )
            for id, payload in zip(ids, payloads, strict=True)
        ]

        def send(rows: slice) -> None:
            self._call(lambda c: c.batch_update_points(self.collection, told[rows], wait=True))

        self._allowance.write(len(told), send)

    def delete(self, ids: Sequence[int]) -> None:
        selector = models.PointIdsList(points=list(ids))
        self._call(lambda c: c.delete(self.collection, selector, wait=True))

    @property
    def scan(self) -> Scan:
        if self._scanned is None:
            many = self.url != MEMORY and self.count() > self._exact_up_to
            copies = many and self._call(lambda c: layouts.is_quantised(c, self.collection))
            self._scanned = Scan.QUANTISED if copies else Scan.EXACT
        return self._scanned

    @property
    def optimise_due(self) -> bool:
        return False

    def optimise(self) -> bool:
        return False  # the server does it by itself, at a time of its own

    def search(
        self,
        vectors: Vectors,
        *,
        limit: int,
        where: Filter,
        kind: Kind = Kind.PLAIN,
        exact: bool = False,
    ) -> list[Matches]:
        rows = vectors.tolist()
        ask = partial(
            models.QueryRequest,
            using=VECTOR_NAMES[kind] or None,
            filter=condition(where),
            params=_PARAMS[Scan.EXACT if exact else self.scan],
            with_payload=False,
        )

        def send(some: Sequence[models.QueryRequest]) -> list[models.QueryResponse]:
            return self._call(lambda c: c.query_batch_points(self.collection, some))

        def search_some(some: Sequence[int], count: int) -> list[Matches]:
            def search(most: int) -> list[Matches]:
                asked = [ask(query=rows[one], limit=most) for one in some]
                return [as_matches(answer.points) for answer in self._allowance.search(asked, send)]

            return self._allowance.read(count, search, least=limit)

        def search_all() -> list[Matches]:
            return in_order(search_some, len(rows), limit)

        return unless_missing(kind, search_all, [NOTHING] * len(vectors))

    def scroll(
        self, *, splits: Sequence[Split] = (), kind: Kind = Kind.PLAIN
    ) -> Iterator[tuple[Ids, Vectors]]:
        for records in self._records(SCROLLED, kind=kind, splits=splits):
            yield as_arrays(records, kind)

    def retrieve(self, ids: Sequence[int], *, kind: Kind = Kind.PLAIN) -> tuple[Ids, Vectors]:
        wanted = [VECTOR_NAMES[kind]]
        return as_arrays(unless_missing(kind, lambda: self._points(ids, wanted), []), kind)

    def ids(self) -> set[int]:
        return {int(r.id) for block in self._records(READ, kind=None) for r in block}

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        # What one of several replicas lacks is not there: it is found to be missing, and mended.
        whole = self.url != MEMORY and self._call(lambda c: layouts.is_whole(c, self.collection))
        agreed = models.ReadConsistencyType.ALL if whole else None
        for found in self._records(COPIED, kind=Kind.PLAIN, with_payload=True, consistency=agreed):
            yield *as_arrays(found, Kind.PLAIN), [record.payload or {} for record in found]

    def stored(self, ids: Sequence[int]) -> set[int]:
        return {int(record.id) for record in self._points(ids, False)}

    def count(self) -> int:
        return self._call(lambda c: c.count(self.collection, exact=True).count)

    def ailments(self) -> Sequence[Ailment]:
        if self.url == MEMORY:
            return ()
        return layouts.ailments(self._call, self.collection, self._layout)

    def adjust(self) -> None:
        if self.url != MEMORY:
            layouts.adjust(self._call, self.collection, self._layout)
            self._scanned = None

    def compact(self) -> bool:
        return False  # the server's optimiser does, some time after a deletion

    def recreate(self) -> None:
        with self._guard.change():
            owner = self._connection.call(self._owner)
            self._connection.call(lambda c: c.delete_collection(self.collection))
            self._make_missing(self._connection.call, owner)
            self._indexed = self.url == MEMORY
            self._scanned = None

    def delete_collection(self) -> None:
        self._call(lambda c: c.delete_collection(self.collection))
        faults.reach("collection deleted")

    def download_snapshot(self, file: Path) -> bool:
        """Write the server's own snapshot of the collection's shard to a file; False where there
        is more than one shard."""
        shards = self._call(lambda c: c.get_collection(self.collection)).config.params.shard_number
        if shards not in (None, 1):
            return False
        self._connection.download(f"/collections/{self.collection}/shards/0/snapshot", file)
        return True

    def abandon(self) -> None:
        self._connection.abandon()

    def close(self) -> None:
        self._connection.end()
        with self._guard.change():  # a connection closed under one would keep it until its timeout
            self._connection.close()

    def _records(
        self,
        block: int,
        *,
        kind: Kind | None,
        with_payload: bool = False,
        splits: Sequence[Split] = (),
        consistency: models.ReadConsistencyType | None = None,
    ) -> Iterator[list[models.Record]]:
        """All points of these splits with their vectors of that ``kind``, or without vectors."""
        offset: Any = None
        none: tuple[list[models.Record], Any] = ([], None)

        def read(most: int) -> tuple[list[models.Record], Any]:
            page = partial(
                QdrantClient.scroll,
                collection_name=self.collection,
                scroll_filter=having(splits, kind),
                limit=most,
                offset=offset,
                with_vectors=False if kind is None else [VECTOR_NAMES[kind]],
                with_payload=with_payload,
                consistency=consistency,
            )
            return self._call(page)

        while True:
            records, offset = unless_missing(kind, partial(self._allowance.read, block, read), none)
            if records:
                yield records
            if offset is None:
                return

    def _points(self, ids: Sequence[int], wanted: list[str] | bool) -> list[models.Record]:
        """The points that are stored of these, with vectors of these names."""

        def read(some: Sequence[int]) -> list[models.Record]:
            return self._call(
                lambda c: c.retrieve(
                    self.collection, list(some), with_payload=False, with_vectors=wanted
                )
            )

        return self._allowance.read_each(ids, read)

    def _index(self) -> None:
        """Make the payload indexes, once in a process: an earlier one may have died before."""
        with self._indexing:
            if self._indexed:
                return
            layouts.index(self._call, self.collection)
            self._indexed = True

    def _make_missing(self, ask: Ask, owner: str | None = None) -> None:
        """Make the collection where it is missing."""
        if ask(lambda c: c.collection_exists(self.collection)):
            return
        if not self._make:
            raise StoreElsewhere(f"the server at {self.address} has no {self.collection}")
        if self.url == MEMORY:  # which has nothing to be laid out on
            params = models.VectorParams(size=self.dimension, distance=models.Distance.DOT)
            metadata = None if owner is None else {OWNER: owner}
            ask(
                lambda c: c.create_collection(
                    self.collection, vectors_config=params, metadata=metadata
                )
            )
            return
        layouts.make(
            ask, self.collection, dimension=self.dimension, layout=self._layout, owner=owner
        )

    def _has_expanded(self, client: QdrantClient) -> bool:
        named = client.get_collection(self.collection).config.params.vectors
        return isinstance(named, dict) and EXPANDED in named

    def _add_expanded(self) -> None:
        """Give the collection the second vector where it has none."""
        if self._call(self._has_expanded):
            return
        dense = models.DenseVectorConfig(size=self.dimension, distance=models.Distance.DOT)
        config = models.DenseVectorNameConfig(dense=dense)

        def create(client: QdrantClient) -> None:
            try:
                client.create_vector_name(self.collection, EXPANDED, config, wait=True)
            except UnexpectedResponse as error:
                if refusals.is_unknown(error):
                    raise refusals.too_old(client.info().version, address=self.address) from None
                raise

        self._call(create)
        if self.url != MEMORY:
            kept = {EXPANDED: layouts.kept_as(self._layout)}
            self._call(lambda c: c.update_collection(self.collection, vectors_config=kept))

    def _owner(self, client: QdrantClient) -> str | None:
        owner = (client.get_collection(self.collection).config.metadata or {}).get(OWNER)
        return None if owner is None else str(owner)

    def _opening(self, action: Callable[[QdrantClient], T]) -> T:
        return self._connection.call(action, self._patience.opening)

    def _call(self, action: Callable[[QdrantClient], T]) -> T:
        with self._guard.use():
            return self._connection.call(action)
