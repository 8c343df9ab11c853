"""A Qdrant server or cluster, through qdrant-client; also its in-memory mode, for tests."""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from json import JSONDecodeError
from typing import Any, TypeVar

import httpx
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import (
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from reidsearch.errors import StoreError, StoreUnreachable
from reidsearch.stores.base import INTEGER_FIELDS, KEYWORD_FIELDS, Match, as_arrays, in_order
from reidsearch.types import Filter, Ids, Payload, Points, Split, Vectors

T = TypeVar("T")

TIMEOUT = 30  # seconds; an upsert of 512 points with wait=True stays far below
SCROLLED = 2048  # vectors in one answer
COPIED = 512  # the same, with payloads
# How long a server may leave calls unanswered, and the waits between tries, in seconds: doubled
# from the first to the longest, each shortened by chance, so that clients do not come in step.
PATIENCE_OPENING, PATIENCE = 5.0, 60.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
PASSING = (429, 500, 502, 503, 504)  # answers that may be others a little later
# The last two are what qdrant-client makes of an answer that is none, as of another program's page.
UNANSWERED = (
    ResponseHandlingException,
    ResourceExhaustedResponse,
    httpx.TransportError,
    OSError,
    JSONDecodeError,
    AssertionError,
)
UPSERT_BATCH = 256  # points; 512-d vectors make about 3 MB of JSON, a server takes 32


class ServerStore:
    """The collection ``collection`` on the server at ``url``, made where it is missing.

    ``url`` may be ":memory:". ``api_key`` is sent with every request where given. Raises
    StoreUnreachable where nothing answers.
    """

    def __init__(
        self, url: str, *, collection: str, dimension: int, api_key: str | None = None
    ) -> None:
        self.url = url
        self.collection = collection
        self.dimension = dimension
        try:
            with warnings.catch_warnings():
                # A key over plain HTTP is warned of in a line of source code; on one machine, where
                # the compose file publishes the port, it goes nowhere.
                warnings.filterwarnings("ignore", message="Api key is used with an insecure")
                self._client = QdrantClient(
                    url, api_key=api_key, timeout=TIMEOUT, check_compatibility=False
                )
        except ValueError as error:
            raise StoreError(
                f"{url!r} is no Qdrant address: {error}",
                hint="Write it like http://localhost:6333.",
            ) from None
        self._patience = PATIENCE_OPENING
        self._abandoned = threading.Event()
        self._indexed = url == ":memory:"  # it has no payload indexes, and warns about each
        try:
            self._call(self._create)
        except StoreError:
            self._client.close()
            raise
        self._patience = PATIENCE

    def upsert(self, points: Points) -> None:
        self._index()
        for start in range(0, len(points.ids), UPSERT_BATCH):
            rows = slice(start, start + UPSERT_BATCH)
            batch = models.Batch(
                ids=points.ids[rows].tolist(),
                vectors=points.vectors[rows].tolist(),
                payloads=points.payloads[rows],
            )
            self._call(lambda c, batch=batch: c.upsert(self.collection, batch, wait=True))  # type: ignore[misc]

    def delete(self, ids: Sequence[int]) -> None:
        selector = models.PointIdsList(points=list(ids))
        self._call(lambda c: c.delete(self.collection, selector, wait=True))

    def search(self, vectors: Vectors, *, limit: int, where: Filter) -> list[list[Match]]:
        condition = _condition(where)

        def search_one(vector: list[float], count: int) -> list[Match]:
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
            return [Match(int(p.id), float(p.score)) for p in response.points]

        return [in_order(lambda n, v=v: search_one(v, n), limit) for v in vectors.tolist()]  # type: ignore[misc]

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

    def compact(self) -> bool:
        return False  # the server's optimiser does, some time after a deletion

    def recreate(self) -> None:
        self.delete_collection()
        self._call(self._create)
        self._indexed = self.url == ":memory:"

    def delete_collection(self) -> None:
        """Remove the whole collection from the server."""
        self._call(lambda c: c.delete_collection(self.collection))

    def abandon(self) -> None:
        self._abandoned.set()

    def close(self) -> None:
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
        if self._indexed:
            return
        self._indexed = True
        kinds = dict.fromkeys(KEYWORD_FIELDS, models.PayloadSchemaType.KEYWORD)
        kinds |= dict.fromkeys(INTEGER_FIELDS, models.PayloadSchemaType.INTEGER)
        for key, kind in kinds.items():
            self._call(
                lambda c, key=key, kind=kind: c.create_payload_index(  # type: ignore[misc]
                    self.collection, key, kind, wait=True
                )
            )

    def _create(self, client: QdrantClient) -> None:
        """Make the collection where it is missing, as it is not after a try that was done, but not
        answered."""
        if client.collection_exists(self.collection):
            return
        # Dot, as in edge.py: unit vectors are stored bit for bit.
        params = models.VectorParams(size=self.dimension, distance=models.Distance.DOT)
        client.create_collection(self.collection, vectors_config=params)

    def _call(self, action: Callable[[QdrantClient], T]) -> T:
        """Run ``action``, again where the server may yet answer; every action can be repeated.

        Raises StoreUnreachable where it has not answered for as long as we wait, StoreError where
        it refuses.
        """
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_any(stop_after_delay(self._patience), stop_when_event_set(self._abandoned)),
            wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            sleep=sleep_using_event(self._abandoned),
            reraise=True,
        )
        try:
            return retrying(action, self._client)
        except UnexpectedResponse as error:
            raise self._refused(error) from None
        except UNANSWERED as error:
            raise StoreUnreachable(
                f"no Qdrant server answers at {self.url}: {error} "
                f"({retrying.statistics['attempt_number']} tries)",
                hint="Start one with: docker compose up -d, or leave out --qdrant-url to store "
                "the vectors in the data dir. What was stored stays; run the same command again to "
                "go on.",
            ) from None

    def _refused(self, error: UnexpectedResponse) -> StoreError:
        what = f"the Qdrant server at {self.url} answered {error.status_code} {error.reason_phrase}"
        if error.status_code in PASSING:
            hint = "What was stored stays; run the same command again when the server is well."
            return StoreUnreachable(what, hint=hint)
        if error.status_code in (401, 403):
            hint = (
                "Put the server's key into the environment as REIDSEARCH_QDRANT_API_KEY, or into a "
                "file that REIDSEARCH_QDRANT_API_KEY_FILE names."
            )
            return StoreError(what, hint=hint)
        return StoreError(what, hint="Look into the server's log.")


def _may_pass(error: BaseException) -> bool:
    """Whether the same call may go through a little later."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code in PASSING
    return isinstance(error, UNANSWERED)


def _condition(where: Filter) -> models.Filter:
    must = [_any("split", [str(where.split)])]
    if where.cameras:
        must.append(_any("camera", list(where.cameras)))
    excluded = where.without_cameras
    return models.Filter(
        must=list(must), must_not=[_any("camera", list(excluded))] if excluded else None
    )


def _any(key: str, values: list[str] | list[int]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=values))
