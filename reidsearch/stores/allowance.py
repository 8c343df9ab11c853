"""How much a server, or a proxy before it, takes or gives at a time: found out by being refused."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from reidsearch.stores.refusals import TooMuch

T = TypeVar("T")
A = TypeVar("A")

READ = 10_000  # points in one answer, without vectors
SEARCHED = 64  # probes in one request


class Allowance:
    """What is asked for or sent at a time: ``batch`` points at most are written, and less of
    everything from when that was too much. Many threads may share one."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._read = READ
        self._searched = SEARCHED

    def write(self, count: int, send: Callable[[slice], None]) -> None:
        """Send so many points, by parts. Raises TooMuch where one alone is refused."""
        start = 0
        while start < count:
            size = min(self._batch, count - start)
            try:
                send(slice(start, start + size))
            except TooMuch as error:
                if size == 1:
                    raise
                self._batch = error.fewer(size)
            else:
                start += size

    def search(self, asked: Sequence[A], send: Callable[[Sequence[A]], list[T]]) -> list[T]:
        """The answers to searches, by parts. Raises TooMuch where they are refused for more than
        their number."""
        found: list[T] = []
        while len(found) < len(asked):
            some = asked[len(found) : len(found) + self._searched]
            try:
                found += send(some)
            except TooMuch as error:
                if len(some) == 1 or error.given not in (0, len(some)):
                    raise
                self._searched = error.fewer(len(some))
        return found

    def read(self, wanted: int, read: Callable[[int], T], *, least: int = 1) -> T:
        """What ``read(n)`` reads of so many points, or of as many as the server allows. Raises
        TooMuch where these are fewer than ``least``."""
        while True:
            most = max(least, min(wanted, self._read))
            try:
                return read(most)
            except TooMuch as error:
                if error.given != most or error.allowed is None or error.allowed < least:
                    raise
                self._read = error.allowed

    def read_each(self, ids: Sequence[int], read: Callable[[Sequence[int]], list[T]]) -> list[T]:
        """What ``read`` reads of these points, by parts. Raises as ``read`` does."""
        found: list[T] = []
        start = 0
        while start < len(ids):
            left = ids[start:]
            found += self.read(len(left), lambda most, left=left: read(left[:most]))  # type: ignore[misc]
            start += min(len(left), self._read)
        return found
