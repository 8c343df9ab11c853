"""A Qdrant server or cluster, through qdrant-client; also its in-memory mode, for tests."""

import logging
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from tenacity import (
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from reidsearch import faults
from reidsearch.errors import StoreElsewhere, StoreError
from reidsearch.stores import refusals
from reidsearch.stores.base import (
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    KEYWORD_FIELDS,
    Matches,
    address_of,
    as_arrays,
    as_matches,
    in_order,
    not_an_address,
)
from reidsearch.stores.guard import Guard
from reidsearch.types import Filter, Ids, Payload, Points, Split, Vectors

T = TypeVar("T")
log = logging.getLogger(__name__)

MEMORY = ":memory:"  # the url of qdrant-client's in-memory mode
SCROLLED = 2048  # vectors in one answer
COPIED = 512  # the same, with payloads
OWNER = "reidsearch-owner"  # the key in a collection's metadata
TOLD_AFTER = 1.0  # seconds without an answer, until it is said that we wait
TOLD_AGAIN = 60.0  # seconds until it is said again
UPSERT_BATCH = 256  # points; 512-d vectors make about 3 MB of JSON, a server takes 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server may leave calls unanswered, in seconds: all tries of one when the store is
    ``opening`` and of later ``calls``, one try (``timeout``), and the waits between tries: doubled
    from the first to the longest, each shortened by chance, so that clients do not come in step."""

    opening: float = 5.0
    calls: float = 60.0
    timeout: int = 30  # an upsert of 512 points with wait=True stays far below
    first_wait: float = 0.2
    longest_wait: float = 10.0


PATIENCE = Patience()


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
        try:
            self.address = MEMORY if url == MEMORY else address_of(url)
            with warnings.catch_warnings():
                # A key over plain HTTP is warned of in a line of source code; on one machine, where
                # the compose file publishes the port, it goes nowhere.
                warnings.filterwarnings("ignore", message="Api key is used with an insecure")
                self._client = QdrantClient(
                    self.address,
                    api_key=api_key,
                    timeout=patience.timeout,
                    check_compatibility=False,
                    **_past_proxies(self.address),
                )
        except ValueError as error:
            raise not_an_address(url, error) from None
        self._patience = patience
        self._batch = batch
        self._make = make
        self._abandoned = threading.Event()
        self._told = -math.inf  # when it was last said that we wait
        self._closed = False
        self._guard = Guard()  # of the collection: calls use it, making it anew changes it
        self._indexing = threading.Lock()
        self._indexed = url == MEMORY  # it has no payload indexes, and warns about each
        try:
            self._retried(self._create, patience.opening)
        except StoreError:
            self._client.close()
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

    def search(self, vectors: Vectors, *, limit: int, where: Filter) -> list[Matches]:
        condition = _condition(where)

        def search_one(vector: list[float], count: int) -> Matches:
            response = self._call(
                lambda c: c.query_points(
                    self.collection,
                    query=vector,
                    limit=count,
                    query_filter=condition,
                    search_params=models.SearchParams(exact=True),
                    with_payload=False,
                )
            )
            return as_matches(response.points)

        return [in_order(partial(search_one, vector), limit) for vector in vectors.tolist()]

    def scroll(self, *, splits: Sequence[Split] = ()) -> Iterator[tuple[Ids, Vectors]]:
        for records in self._records(SCROLLED, with_vectors=True, splits=splits):
            yield as_arrays(records)

    def retrieve(self, ids: Sequence[int]) -> tuple[Ids, Vectors]:
        return as_arrays(
            self._call(
                lambda c: c.retrieve(
                    self.collection, list(ids), with_payload=False, with_vectors=True
                )
            )
        )

    def ids(self) -> set[int]:
        return {int(r.id) for block in self._records(10_000, with_vectors=False) for r in block}

    def records(self) -> Iterator[tuple[Ids, Vectors, list[Payload]]]:
        for found in self._records(COPIED, with_vectors=True, with_payload=True):
            yield *as_arrays(found), [record.payload or {} for record in found]

    def count(self) -> int:
        return self._call(lambda c: c.count(self.collection, exact=True).count)

    def compact(self) -> bool:
        return False  # the server's optimiser does, some time after a deletion

    def recreate(self) -> None:
        with self._guard.change():
            owner = self._retried(self._owner)
            self._retried(lambda c: c.delete_collection(self.collection))
            self._retried(lambda c: self._create(c, owner))
            self._indexed = self.url == MEMORY

    def delete_collection(self) -> None:
        self._call(lambda c: c.delete_collection(self.collection))
        faults.reach("collection deleted")

    def abandon(self) -> None:
        self._abandoned.set()

    def close(self) -> None:
        self._closed = True
        self._abandoned.set()  # calls under way end with this try
        with self._guard.change():  # a connection closed under one would keep it until its timeout
            self._client.close()

    def _records(
        self,
        block: int,
        *,
        with_vectors: bool,
        with_payload: bool = False,
        splits: Sequence[Split] = (),
    ) -> Iterator[list[models.Record]]:
        offset: Any = None
        where = None
        if splits:
            where = models.Filter(must=[_any("split", [str(split) for split in splits])])
        while True:
            records, offset = self._call(
                lambda c, offset=offset: c.scroll(  # type: ignore[misc]
                    self.collection,
                    scroll_filter=where,
                    limit=block,
                    offset=offset,
                    with_vectors=with_vectors,
                    with_payload=with_payload,
                )
            )
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

    def _owner(self, client: QdrantClient) -> str | None:
        owner = (client.get_collection(self.collection).config.metadata or {}).get(OWNER)
        return None if owner is None else str(owner)

    def _call(self, action: Callable[[QdrantClient], T]) -> T:
        with self._guard.use():
            return self._retried(action)

    def _retried(self, action: Callable[[QdrantClient], T], patience: float | None = None) -> T:
        """Run ``action``, again where the server may yet answer; every action can be repeated.

        Raises StoreUnreachable where it has not answered for as long as we wait, StoreError where
        it refuses.
        """
        given = self._patience
        longest = given.calls if patience is None else patience
        retrying = Retrying(
            retry=retry_if_exception(refusals.may_pass),
            stop=stop_any(
                stop_after_delay(longest),
                stop_when_event_set(self._abandoned),
            ),
            wait=wait_random_exponential(multiplier=given.first_wait, max=given.longest_wait),
            sleep=sleep_using_event(self._abandoned),
            reraise=True,
        )
        waiting = threading.Timer(TOLD_AFTER, self._tell, [longest])
        waiting.daemon = True
        waiting.start()
        try:
            if self._closed:
                raise self._gone()
            return retrying(action, self._client)
        except UnexpectedResponse as error:
            raise refusals.refused(error, address=self.address) from None
        except refusals.UNANSWERED as error:
            if self._closed:
                raise self._gone() from None
            tries = retrying.statistics["attempt_number"]
            raise refusals.unanswered(error, address=self.address, tries=tries) from None
        finally:
            waiting.cancel()

    def _tell(self, longest: float) -> None:
        """Say that we wait: once in a while, not with every call to a server that is slow."""
        now = time.monotonic()
        if now - self._told >= TOLD_AGAIN and not self._abandoned.is_set():
            self._told = now
            log.warning(
                "Waiting for the Qdrant server at %s, for up to %.0f s.", self.address, longest
            )

    def _gone(self) -> StoreError:
        return StoreError(f"the vector store at {self.address} is closed")


def _past_proxies(address: str) -> dict[str, Any]:
    """What httpx is told, for a server on this machine: a proxy cannot reach it."""
    if address == MEMORY or not refusals.is_loopback(address):
        return {}
    return {"mounts": {"http://": None, "https://": None}}


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
    return models.FieldCondition(key=key, match=models.MatchAny(any=values))
