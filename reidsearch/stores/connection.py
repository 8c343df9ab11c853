"""A connection to a Qdrant server: calls are tried again for a while, refusals become ours."""

import logging
import math
import threading
import time
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import UnexpectedResponse
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_before_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from reidsearch.errors import StoreError
from reidsearch.stores import refusals
from reidsearch.stores.addresses import address_of, each, is_loopback, is_near, not_an_address
from reidsearch.stores.silence import Silent, answers, watched

T = TypeVar("T")
log = logging.getLogger(__name__)

MEMORY = ":memory:"  # the url of qdrant-client's in-memory mode
TOLD_AFTER = 1.0  # seconds without an answer, until it is said that we wait
PREPARING = 600.0  # seconds until a file begins to come that the server has to make first
TOLD_AGAIN = 60.0  # seconds until it is said again


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server may leave calls unanswered, in seconds: all tries of one when the store is
    ``opening`` and of later ``calls``, one try (``timeout``), in which it is there at all after
    ``connecting``, and the waits between tries: doubled from the first to the longest, each
    shortened by chance, so that clients do not come in step."""

    opening: float = 5.0
    calls: float = 60.0
    connecting: float = 4.0  # time for a lost packet to be sent again, twice
    timeout: int = 30  # an upsert of 512 points with wait=True stays far below
    first_wait: float = 0.2
    longest_wait: float = 10.0


class Connection:
    """To the server at ``url``, which may be MEMORY, or to whichever node of a cluster answers,
    where it names several; nothing is sent before the first call.

    ``api_key`` is sent with every request where given. Raises StoreError on a ``url`` that cannot
    be one.
    """

    def __init__(self, url: str, *, api_key: str | None, patience: Patience) -> None:
        try:
            self.address = MEMORY if url == MEMORY else address_of(url)
            self._addresses = each(self.address)
            self._clients = [_client(one, api_key, patience) for one in self._addresses]
        except ValueError as error:
            raise not_an_address(url, error) from None
        self._at = 0  # the one that is asked
        self._patience = patience
        self._api_key = api_key
        self._abandoned = threading.Event()
        self._told = -math.inf  # when it was last said that we wait
        self._ended = False

    def call(self, action: Callable[[QdrantClient], T], patience: float | None = None) -> T:
        """Run ``action``, again where the server, or another node, may yet answer; every action can
        be repeated.

        Raises StoreUnreachable where none has answered for as long as we wait, StoreError where
        one refuses.
        """
        given = self._patience
        longest = given.calls if patience is None else patience
        backoff = wait_random_exponential(multiplier=given.first_wait, max=given.longest_wait)

        def wait(state: RetryCallState) -> float:
            error = None if state.outcome is None else state.outcome.exception()
            if seconds := refusals.waits(error):
                return seconds
            if state.attempt_number < len(self._clients):
                return 0.0  # another node may be well
            return backoff(state)

        late, abandoned = stop_before_delay(longest), stop_when_event_set(self._abandoned)

        def stop(state: RetryCallState) -> bool:
            # The first of several may hang for as long as we wait; the next one is asked all the
            # same, unless that is to be later.
            asked = state.attempt_number >= len(self._clients) or state.upcoming_sleep > 0
            return abandoned(state) or (asked and late(state))

        retrying = Retrying(
            retry=retry_if_exception(refusals.may_pass),
            stop=stop,
            wait=wait,
            sleep=sleep_using_event(self._abandoned),
            reraise=True,
        )
        waiting = threading.Timer(TOLD_AFTER, self._tell, [longest])
        waiting.daemon = True
        waiting.start()
        tried = self._at
        silent: set[int] = set()
        refused: StoreError | None = None  # says more than that another node does not answer
        try:
            if self._ended:
                raise self._gone()
            for attempt in retrying:
                with attempt:
                    tried = self._at
                    try:
                        return self._ask(action, tried, silent)
                    except BaseException as error:
                        if isinstance(error, UnexpectedResponse):
                            refused = refusals.refused(error, address=self._addresses[tried])
                        if isinstance(error, Silent):
                            silent.add(tried)
                            self._leave(tried, error.other)
                        elif refusals.may_pass(error) and tried == self._at:
                            self._at = (tried + 1) % len(self._clients)
                        raise
            raise AssertionError("it returns or raises")
        except UnexpectedResponse as error:
            raise refusals.refused(error, address=self._addresses[tried]) from None
        except refusals.UNANSWERED as error:
            if self._ended:
                raise self._gone() from None
            if refused is not None and len(self._clients) > 1:
                raise refused from None
            raise refusals.unanswered(
                error,
                address=self.address.replace(",", ", "),
                tried=self._addresses[tried],
                tries=retrying.statistics["attempt_number"],
            ) from None
        except (KeyError, ValueError) as error:
            if self.address != MEMORY:
                raise
            raise refusals.refused_in_memory(error) from None
        finally:
            waiting.cancel()

    def _ask(self, action: Callable[[QdrantClient], T], at: int, silent: Collection[int]) -> T:
        """What the server at an address answers. Raises Silent where it hangs and another does not,
        but for those that were left so before: perhaps it is slow."""
        client = self._clients[at]
        if len(self._clients) == 1 or at in silent:
            return action(client)
        others = [one % len(self._clients) for one in range(at + 1, at + len(self._clients))]
        return watched(lambda: action(client), self._is_there, asked=at, others=others)

    def _is_there(self, at: int) -> bool:
        address = self._addresses[at]
        with httpx.Client(base_url=address, **_around(address)) as client:
            return answers(client)

    def _leave(self, silent: int, other: int) -> None:
        """Ask another address, from now on until that fails."""
        if self._at == silent:
            self._at = other
            log.warning(
                "The Qdrant server at %s says nothing; the one at %s is asked in its place.",
                self._addresses[silent],
                self._addresses[other],
            )

    def download(self, path: str, file: Path) -> None:
        """Write what the server answers at a path to a file, tried once. Raises StoreError."""
        key = {} if self._api_key is None else {"api-key": self._api_key}
        address = self._addresses[self._at]
        timeout = httpx.Timeout(self._patience.timeout, read=PREPARING)
        try:
            with (
                httpx.Client(timeout=timeout, **_on_the_way(address, self._patience)) as web,
                web.stream("GET", address + path, headers=key) as answer,
                file.open("wb") as written,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise StoreError(f"{address} answered {answer.status_code}")
                for some in answer.iter_bytes():
                    written.write(some)
        except httpx.HTTPError as error:
            raise StoreError(f"{address} did not answer: {error}") from None

    def abandon(self) -> None:
        """Wait no longer: calls under way fail at their next try."""
        self._abandoned.set()

    def end(self) -> None:
        """Abandon calls under way, and let no others begin."""
        self._ended = True
        self._abandoned.set()

    def close(self) -> None:
        """Close it, with no calls under way."""
        for client in self._clients:
            client.close()

    def _tell(self, longest: float) -> None:
        """Say that we wait: once in a while, not with every call to a server that is slow."""
        now = time.monotonic()
        if now - self._told >= TOLD_AGAIN and not self._abandoned.is_set():
            self._told = now
            log.warning(
                "Waiting for the Qdrant server at %s, for up to %.0f s.",
                self.address.replace(",", ", "),
                longest,
            )

    def _gone(self) -> StoreError:
        return StoreError(f"the vector store at {self.address} is closed")


def _client(address: str, api_key: str | None, patience: Patience) -> QdrantClient:
    with warnings.catch_warnings():
        # A key over plain HTTP is warned of in a line of source code; on one machine, where the
        # compose file publishes the port, it goes nowhere.
        warnings.filterwarnings("ignore", message="Api key is used with an insecure")
        return QdrantClient(
            address,
            api_key=api_key,
            timeout=patience.timeout,
            check_compatibility=False,
            **_on_the_way(address, patience),
        )


def _on_the_way(address: str, patience: Patience) -> dict[str, Any]:
    """What httpx is told of calls to a server."""
    if address == MEMORY:
        return {}

    def connect_soon(request: httpx.Request) -> None:  # qdrant-client has one time for everything
        request.extensions["timeout"]["connect"] = patience.connecting

    return {"event_hooks": {"request": [connect_soon]}, **_around(address)}


def _around(address: str) -> dict[str, Any]:
    """The same of the way there: a proxy cannot reach a server on this machine, and on near
    networks half of the time that reading vectors takes would go into packing them."""
    told: dict[str, Any] = {}
    if is_near(address):
        told["headers"] = {"Accept-Encoding": "identity"}
    if is_loopback(address):
        told["mounts"] = {"http://": None, "https://": None}
    return told
