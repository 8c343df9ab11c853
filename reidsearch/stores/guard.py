"""Many uses at once, or one change alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Guard:
    """Lets threads share something, and one of them have it to itself.

    A change that waits lets no new use begin, or queries without end would keep it waiting. So
    whoever is in one must not ask for another.
    """

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._uses = 0
        self._waiting = 0
        self._changing = False

    @contextmanager
    def use(self) -> Iterator[None]:
        """Beside other uses."""
        with self._state:
            self._state.wait_for(lambda: not (self._changing or self._waiting))
            self._uses += 1
        try:
            yield
        finally:
            with self._state:
                self._uses -= 1
                self._state.notify_all()

    @contextmanager
    def change(self) -> Iterator[None]:
        """With nobody else there."""
        with self._state:
            self._waiting += 1
            try:
                self._state.wait_for(lambda: not (self._changing or self._uses))
                self._changing = True
            finally:
                self._waiting -= 1
                self._state.notify_all()
        try:
            yield
        finally:
            with self._state:
                self._changing = False
                self._state.notify_all()
