"""A Qdrant server or cluster, through qdrant-client; also its in-memory mode, for tests."""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from reidsearch import faults
from reidsearch.errors import StoreElsewhere, StoreError
from reidsearch.stores import refusals
from reidsearch.stores.base import (
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    NOTHING,
    VECTOR_NAMES,
    Matches,
    as_arrays,
    as_matches,
    check_expanded,
    in_order,
    unless_missing,
)
from reidsearch.stores.connection import MEMORY, Connection, Patience
from reidsearch.stores.guard import Guard
from reidsearch.types import Filter, Ids, Kind, Payload, Points, Scan, Split, Vectors

T = TypeVar("T")

PATIENCE = Patience()
SCROLLED = 2048  # vectors in one answer
LISTED = 10_000  # ids in one answer
COPIED = 512  # the same, with payloads
OWNER = "reidsearch-owner"  # the key in a collection's metadata
UPSERT_BATCH = 256  # points; 512-d vectors make about 3 MB of JSON, a server takes 32


class ServerStore:
    """The collection ``collection`` on the server at ``url``, made where it is missing, or else,
    without ``make``, StoreElsewhere is raised.

    ``url`` may be MEMORY. ``api_key`` is sent with every request where given. ``batch`` points at
    most go into one request. Raises StoreUnreachable where nothing answers.
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
    ) -> None:
        self.url = url
        self.collection = collection
        self.dimension = dimension
        self._connection = Connection(url, api_key=api_key, patience=patience)
        self.address = self._connection.address
        self._batch = batch
        self._make = make
        self._guard = Guard()  # of the collection: calls use it, making it anew changes it
        self._indexing = threading.Lock()
        self._indexed = url == MEMORY  # it has no payload indexes, and warns about each
        try:
            self._connection.call(self._create, patience.opening)
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
        for start in range(0, len(points.ids), self._batch):
            rows = slice(start, start + self._batch)
            batch = models.Batch(
                ids=points.ids[rows].tolist(),
                vectors=points.vectors[rows].tolist(),
                payloads=points.payloads[rows],
            )
            self._call(lambda c, batch=batch: c.upsert(self.collection, batch, wait=True))  # type: ignore[misc]

    def write_expanded(self, ids: Ids, vectors: Vectors) -> None:
        check_expanded(ids, vectors, self.dimension)
        if not len(ids):
            return
        name = VECTOR_NAMES[Kind.EXPANDED]
        self._call(self._add_expanded)
        for start in range(0, len(ids), self._batch):
            rows = slice(start, start + self._batch)
            pairs = zip(ids[rows].tolist(), vectors[rows].tolist(), strict=True)
            batch = [models.PointVectors(id=id, vector={name: vector}) for id, vector in pairs]
            self._call(lambda c, batch=batch: c.update_vectors(self.collection, batch, wait=True))  # type: ignore[misc]

    def drop_expanded(self) -> None:
        def drop(client: QdrantClient) -> None:
            if self._has_expanded(client):
                client.delete_vector_name(self.collection, VECTOR_NAMES[Kind.EXPANDED], wait=True)

        self._call(drop)

    def describe(self, ids: Sequence[int], payloads: Sequence[Payload]) -> None:
        self._index()
        told = list(zip(ids, payloads, strict=True))
        for start in range(0, len(told), self._batch):
            operations = [
                models.OverwritePayloadOperation(
                    overwrite_payload=models.SetPayload(payload=payload, points=[id])
                )
                for id, payload in told[start : start + self._batch]
            ]
            self._call(
                lambda c, batch=operations: c.batch_update_points(  # type: ignore[misc]
                    self.collection, batch, wait=True
                )
            )

    def delete(self, ids: Sequence[int]) -> None:
        selector = models.PointIdsList(points=list(ids))
        self._call(lambda c: c.delete(self.collection, selector, wait=True))

    @property
    def scan(self) -> Scan:
        return Scan.EXACT

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
        condition = _condition(where)

        def search_one(vector: list[float], count: int) -> Matches:
            response = self._call(
                lambda c: c.query_points(
                    self.collection,
                    query=vector,
                    using=VECTOR_NAMES[kind] or None,
                    limit=count,
                    query_filter=condition,
                    search_params=models.SearchParams(exact=True),
                    with_payload=False,
                )
            )
            return as_matches(response.points)

        def search_all() -> list[Matches]:
            return [in_order(partial(search_one, vector), limit) for vector in vectors.tolist()]

        return unless_missing(kind, search_all, [NOTHING] * len(vectors))

    def scroll(
        self, *, splits: Sequence[Split] = (), kind: Kind = Kind.PLAIN
    ) -> Iterator[tuple[Ids, Vectors]]:
        for records in self._records(SCROLLED, kind=kind, splits=splits):
            yield as_arrays(records, kind)

    def retrieve(self, ids: Sequence[int], *, kind: Kind = Kind.PLAIN) -> tuple[Ids, Vectors]:
        wanted = [VECTOR_NAMES[kind]]

        def retrieve() -> list[models.Record]:
            return self._call(
                lambda c: c.retrieve(
                    self.collection, list(ids), with_payload=False, with_vectors=wanted
                )
            )

        return as_arrays(unless_missing(kind, retrieve, []), kind)

    def ids(self) -> set[int]:
        return {int(r.id) for block in self._records(LISTED, kind=None) for r in block}

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        for found in self._records(COPIED, kind=Kind.PLAIN, with_payload=True):
            yield *as_arrays(found, Kind.PLAIN), [record.payload or {} for record in found]

    def stored(self, ids: Sequence[int]) -> set[int]:
        found: set[int] = set()
        for start in range(0, len(ids), LISTED):
            some = list(ids[start : start + LISTED])
            page = self._call(
                lambda c, some=some: c.retrieve(  # type: ignore[misc]
                    self.collection, some, with_payload=False, with_vectors=False
                )
            )
            found |= {int(record.id) for record in page}
        return found

    def count(self) -> int:
        return self._call(lambda c: c.count(self.collection, exact=True).count)

    def compact(self) -> bool:
        return False  # the server's optimiser does, some time after a deletion

    def recreate(self) -> None:
        with self._guard.change():
            owner = self._connection.call(self._owner)
            self._connection.call(lambda c: c.delete_collection(self.collection))
            self._connection.call(lambda c: self._create(c, owner))
            self._indexed = self.url == MEMORY

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
    ) -> Iterator[list[models.Record]]:
        """All points of these splits with their vectors of that ``kind``, or without vectors."""
        offset: Any = None
        none: tuple[list[models.Record], Any] = ([], None)
        must: list[models.Condition] = []
        if splits:
            must.append(_any("split", [str(split) for split in splits]))
        if kind is Kind.EXPANDED:
            must.append(models.HasVectorCondition(has_vector=VECTOR_NAMES[kind]))
        where = models.Filter(must=must) if must else None
        wanted = False if kind is None else [VECTOR_NAMES[kind]]
        while True:
            page = partial(
                QdrantClient.scroll,
                collection_name=self.collection,
                scroll_filter=where,
                limit=block,
                offset=offset,
                with_vectors=wanted,
                with_payload=with_payload,
            )
            records, offset = unless_missing(kind, partial(self._call, page), none)
            if records:
                yield records
            if offset is None:
                return

    def _index(self) -> None:
        """Make the payload indexes, once in a process: an earlier one may have died before."""
        with self._indexing:
            if self._indexed:
                return
            kinds = dict.fromkeys(KEYWORD_FIELDS, models.PayloadSchemaType.KEYWORD)
            kinds |= dict.fromkeys(INTEGER_FIELDS, models.PayloadSchemaType.INTEGER)
            kinds |= dict.fromkeys(FLOAT_FIELDS, models.PayloadSchemaType.FLOAT)
            for key, kind in kinds.items():
                self._call(
                    lambda c, key=key, kind=kind: c.create_payload_index(  # type: ignore[misc]
                        self.collection, key, kind, wait=True
                    )
                )
            self._indexed = True

    def _create(self, client: QdrantClient, owner: str | None = None) -> None:
        """Make the collection where it is missing, as it is not after a try that was done, but not
        answered."""
        if client.collection_exists(self.collection):
            return
        if not self._make:
            raise StoreElsewhere(f"the server at {self.address} has no {self.collection}")
        # Dot, as in edge.py: unit vectors are stored bit for bit.
        params = models.VectorParams(size=self.dimension, distance=models.Distance.DOT)
        client.create_collection(
            self.collection,
            vectors_config=params,
            metadata=None if owner is None else {OWNER: owner},
        )

    def _has_expanded(self, client: QdrantClient) -> bool:
        named = client.get_collection(self.collection).config.params.vectors
        return isinstance(named, dict) and VECTOR_NAMES[Kind.EXPANDED] in named

    def _add_expanded(self, client: QdrantClient) -> None:
        """Give the collection the second vector where it has none."""
        if self._has_expanded(client):
            return
        dense = models.DenseVectorConfig(size=self.dimension, distance=models.Distance.DOT)
        config = models.DenseVectorNameConfig(dense=dense)
        try:
            client.create_vector_name(
                self.collection, VECTOR_NAMES[Kind.EXPANDED], config, wait=True
            )
        except UnexpectedResponse as error:
            if refusals.is_unknown(error):
                raise refusals.too_old(client.info().version, address=self.address) from None
            raise

    def _owner(self, client: QdrantClient) -> str | None:
        owner = (client.get_collection(self.collection).config.metadata or {}).get(OWNER)
        return None if owner is None else str(owner)

    def _call(self, action: Callable[[QdrantClient], T]) -> T:
        with self._guard.use():
            return self._connection.call(action)


def _condition(where: Filter) -> models.Filter:
    must = [_any("split", [str(where.split)])]
    if where.cameras:
        must.append(_any("camera_id", list(where.cameras)))
    if where.datasets:
        must.append(_any("dataset_id", list(where.datasets)))
    if where.since is not None or where.until is not None:
        span = models.Range(gte=where.since, lt=where.until)
        must.append(models.FieldCondition(key="time", range=span))
    excluded = where.without_cameras
    return models.Filter(
        must=list(must), must_not=[_any("camera_id", list(excluded))] if excluded else None
    )


def _any(key: str, values: list[str] | list[int]) -> models.FieldCondition:
    if len(values) == 1:  # which takes far less than a list of one
        return models.FieldCondition(key=key, match=models.MatchValue(value=values[0]))
    return models.FieldCondition(key=key, match=models.MatchAny(any=values))
