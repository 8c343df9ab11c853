"""Crops on their way in: gathered for a moment, taken in together, confirmed when durable.

One thread does so, one batch at a time: a batch costs little more than a single crop. While
somebody else changes the gallery for long, crops are put aside, durable as well, and stored
afterwards. When nothing comes for a while, or much has come, it brings up to date what depends on
the images.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

from reidsearch.errors import EmptyGallery, ReidsearchError, StoreLocked
from reidsearch.gallery import Gallery
from reidsearch.pushing.add import Added
from reidsearch.pushing.crop import Crop
from reidsearch.service import memory
from reidsearch.service.problems import busy

log = logging.getLogger(__name__)

LINGER = 0.02  # seconds that the first crop of a batch waits for others
BATCH = 64  # crops taken in together
WAITING = 512  # crops that may wait; those who push more are told to come again
QUIET = 5.0  # seconds without a crop, after which all is brought up to date
OVERDUE = 120.0  # seconds after which it is, however many come
LOCKED = 10.0  # seconds after which it is tried again where somebody else changes the gallery
REGULARLY = 3600.0  # seconds: images grow too old by themselves

_Waiting = tuple[Crop, "Future[Added]"]


class Intake:
    """Takes crops in for as long as it is open."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="intake")
        self._closing = threading.Lock()  # no crop comes in behind the end
        self._closed = False
        self._again = 0.0  # when crops are not put aside any more; on the clock of time.monotonic
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Crops that wait for their batch."""
        return self._queue.qsize()

    async def add(self, crop: Crop) -> Added:
        """Take a crop in; returns when it is durable, stored or put aside. Raises what
        ``Gallery.add`` says of it, and Problem (503) where too many wait."""
        future: Future[Added] = Future()
        with self._closing:
            if self._closed:
                raise busy("the service is ending")
            try:
                self._queue.put_nowait((crop, future))
            except queue.Full:
                raise busy("too many crops wait to be stored") from None
        # Shielded: who hangs up takes nobody else's crop back.
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """Take in what waits, then end. Idempotent."""
        with self._closing:
            already, self._closed = self._closed, True
        if not already:
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        due: float | None = time.monotonic()  # once at the beginning: a kill may have left some
        changed = time.monotonic()
        while True:
            wait = (
                REGULARLY if due is None else max(min(changed + QUIET, due) - time.monotonic(), 0)
            )
            try:
                first = self._queue.get(timeout=wait)
            except queue.Empty:
                due = self._keep_current()
                continue
            if first is None:
                return
            batch, ended = self._gathered(first)
            self._take_in(batch)
            changed = time.monotonic()
            due = changed + OVERDUE if due is None else due
            if ended:
                return
            if changed >= due:
                due = self._keep_current()

    def _gathered(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        """What comes within a moment, and whether that was the last."""
        batch, until = [first], time.monotonic() + LINGER
        while len(batch) < BATCH:
            try:
                more = self._queue.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                break
            if more is None:
                return batch, True
            batch.append(more)
        return batch, False

    def _take_in(self, batch: Sequence[_Waiting]) -> None:
        try:
            outcomes = self._kept([crop for crop, _ in batch])
        except Exception as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, ReidsearchError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _kept(self, crops: Sequence[Crop]) -> Sequence[Added | ReidsearchError]:
        if time.monotonic() >= self._again:
            try:
                return self._gallery.add(crops)
            except StoreLocked as error:
                log.info("Crops wait: %s", error.message)
                self._again = time.monotonic() + LOCKED
        return self._gallery.put_aside(crops)

    def _keep_current(self) -> float | None:
        """Do so; when it is due again, on the clock of ``time.monotonic``."""
        try:
            self._gallery.keep_current()
        except EmptyGallery:
            pass
        except StoreLocked:
            return time.monotonic() + LOCKED
        except ReidsearchError as error:  # the next time, or an ingest, makes up for it
            log.warning("What depends on the images was not brought up to date: %s", error.message)
        except Exception:
            log.exception("What depends on the images was not brought up to date")
        memory.give_back()  # as much may have been at hand as all vectors take
        return None
