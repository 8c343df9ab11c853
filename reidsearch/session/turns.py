"""Whose turn it is to change a gallery."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidsearch import lock
from reidsearch.errors import StoreLocked
from reidsearch.stores.wire import Ended

log = logging.getLogger(__name__)


class Turns:
    """The right to change a gallery through this process: one of its threads has it at a time,
    which may take it again within its turn, or one other process, by way of a thread that lends it.

    ``purpose`` is what others are told that wait for it.
    """

    def __init__(self, data_dir: Path, *, purpose: str) -> None:
        self._data_dir = data_dir
        self._purpose = purpose
        self._one = threading.RLock()
        self._changes = 0  # nested in each other
        self._since = 0.0  # when the outermost began, in seconds since 1970 UTC
        self._borrower: str | None = None
        self._ending = False

    @property
    def changing(self) -> bool:
        """Whether this process is in the middle of a change of its own."""
        return self._changes > 0

    @contextmanager
    def taken(self, *, patience: float) -> Iterator[None]:
        """To be the one thread whose turn it is. Other threads are waited for without end; raises
        StoreLocked where another process has it on loan for more than ``patience`` (seconds)."""
        lock.waited_for(self._acquire, patience=patience)
        try:
            yield
        finally:
            self._one.release()

    @contextmanager
    def change(self) -> Iterator[None]:
        """That a change is under way. Only within one's turn."""
        if not self._changes:
            self._since = time.time()
        self._changes += 1
        try:
            yield
        finally:
            self._changes -= 1

    @contextmanager
    def lent(self, borrower: str, *, patience: float) -> Iterator[None]:
        """A turn for another process, called so in messages to others that wait. Raises StoreLocked
        where the gallery is changed for more than ``patience`` (seconds), Ended after ``end``."""
        if not self._one.acquire(timeout=patience):
            own = lock.Holder(os.getpid(), self._purpose, self._since or time.time())
            raise self._changed_by(self._borrower or lock.in_words(own))
        try:
            if self._ending:
                raise Ended
            self._borrower = borrower
            yield
        finally:
            self._borrower = None
            self._one.release()

    def end(self) -> None:
        """Lend no turn any more."""
        self._ending = True

    def await_borrower(self) -> None:
        """Wait until nobody changes the gallery, and say so where that is another process."""
        if (who := self._borrower) is not None:
            log.info("%s changes the gallery through this process. Waiting ...", who)
        with self.last():
            pass

    @contextmanager
    def last(self) -> Iterator[None]:
        """A turn that is waited for without end."""
        with self._one:
            yield

    def _acquire(self, seconds: float) -> None:
        while not self._one.acquire(timeout=seconds):
            if self._borrower is not None:
                raise self._changed_by(self._borrower)

    def _changed_by(self, who: str) -> StoreLocked:
        return StoreLocked(
            f"{who} changes the gallery in {self._data_dir}",
            hint="Wait until it has done so, and run {same_call} again.",
        )
