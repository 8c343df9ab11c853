"""Calls to one node of a cluster that may hang, while others answer.

A machine that hangs takes connections and says nothing, as one does that is at work. What tells
them apart is a question that needs no work at all, asked beside the call; and it matters only where
somebody else can be asked.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

import httpx

T = TypeVar("T")

LOOK_AFTER = 2.0  # seconds without an answer, until it is asked whether it is there
LOOK = 1.5  # seconds that it has to say so


class Silent(OSError):
    """A server says nothing at all, and ``other``, one of those beside it, does."""

    def __init__(self, other: int) -> None:
        super().__init__("it takes connections, and says nothing")
        self.other = other


def watched(
    action: Callable[[], T], is_there: Callable[[int], bool], *, asked: int, others: Sequence[int]
) -> T:
    """What ``action`` returns, which asks a server, the one of that number. Raises Silent where
    that one is not there and another is; what it answers later is heard by nobody."""
    answer = _in_a_thread(action)
    while True:
        try:
            return answer.result(timeout=LOOK_AFTER)
        except TimeoutError:
            if answer.done():  # its own
                return answer.result()
        if not is_there(asked) and (other := next(filter(is_there, others), None)) is not None:
            raise Silent(other)


def answers(client: httpx.Client) -> bool:
    """Whether there is anybody, whatever is answered."""
    try:
        client.get("/readyz", timeout=LOOK)
    except httpx.TransportError:
        return False
    return True


def _in_a_thread(action: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except BaseException as error:
            future.set_exception(error)

    # Not of a pool: the end of the process waits for those.
    threading.Thread(target=run, name="asking", daemon=True).start()
    return future
