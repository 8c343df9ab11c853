"""One process at a time changes a data dir, and who it is can be told.

The lock is the operating system's, on a file: it ends with the process, however that ends. Beside
it stands who holds it, for the message that others get.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from filelock import FileLock, Timeout

from reidsearch.errors import StoreLocked

FILE, HOLDER = "lock", "lock.json"
PATIENCE = 5.0  # seconds: a query that another process runs is over by then
INTERVAL = 0.05  # seconds between tries
QUIETLY = 0.5  # seconds that one waits without a word
STEP = 1.0  # seconds, then, that one waits at a time

log = logging.getLogger(__name__)
T = TypeVar("T")


class Held:
    """A data dir's lock, held from the moment this is made until ``release``, or the end of a
    ``with``; any thread may release it.

    ``purpose`` is the verb that others are told of, ``address`` the URL where this process answers
    for the gallery meanwhile, None where it does not. Waits ``patience`` seconds where another
    process, or another part of this one, holds it, then raises StoreLocked, which names the holder.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        purpose: str,
        address: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._record = data_dir / HOLDER
        self._releasing = threading.Lock()
        self._lock = FileLock(data_dir / FILE, timeout=patience, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise _held_by_another(data_dir) from None
        try:
            record: dict[str, object] = {"pid": os.getpid(), "command": purpose}
            record["since"] = time.time()
            if address is not None:
                record["address"] = address
            # Not by files.replacing, which waits for the disk: a record ends with its process.
            new = data_dir / f"{HOLDER}.new"
            new.write_text(json.dumps(record), encoding="utf-8")
            new.replace(self._record)
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Let others have it. Idempotent."""
        with self._releasing:
            if self._lock.is_locked:
                try:
                    self._record.unlink(missing_ok=True)  # later it would be the next holder's
                finally:
                    self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class Holder:
    """A process (its number) that holds a data dir's lock, what for, and since when, in seconds
    since 1970 UTC; a service also the ``address`` at which it answers, a URL."""

    pid: int
    command: str
    since: float
    address: str | None = None


def holder(data_dir: Path) -> Holder | None:
    """Who holds the lock at this moment; None where nobody does, or it cannot be told."""
    found = _recorded(data_dir)
    if found is None:
        return None
    try:
        with shared(data_dir, patience=0.0):
            return None  # the record of a process that was killed
    except StoreLocked:
        return found


@contextmanager
def shared(data_dir: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Keep others from changing a data dir that this process can only read, beside others that do
    the same. Raises StoreLocked as ``Held`` does.

    Where there is no lock's file nobody has ever changed anything, and on Windows nothing is done.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        descriptor = os.open(data_dir / FILE, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise _held_by_another(data_dir) from None
                time.sleep(INTERVAL)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(descriptor)


def waited_for(attempt: Callable[[float], T], *, patience: float) -> T:
    """What ``attempt`` returns, which is given seconds to wait in, and made again where it raises
    StoreLocked, for as many seconds as there is ``patience``, which may be infinite: but for no
    more than PATIENCE where who holds it may never end. Whoever is waited for is named.

    Raises as ``attempt`` does.
    """
    started = time.monotonic()
    step, named = QUIETLY, ""
    while True:
        left = started + patience - time.monotonic()
        try:
            return attempt(max(min(left, step), 0.0))
        except StoreLocked as error:
            longest = min(patience, PATIENCE) if error.lasting else patience
            if time.monotonic() - started >= longest:
                raise
            if error.message != named:
                log.info("%s. Waiting ...", error.message)
                named = error.message
        step = STEP


def in_words(found: Holder | None) -> str:
    """Who it is, for messages."""
    if found is None:
        return "another process"
    since = datetime.fromtimestamp(found.since).strftime("%H:%M:%S")
    where = "" if found.address is None else f", at {found.address}"
    return f"reidsearch {found.command} (process {found.pid}, since {since}{where})"


def _held_by_another(data_dir: Path) -> StoreLocked:
    found = _recorded(data_dir)
    hint = (
        "Wait until it has ended and run {same_call} again, or let a service hold the gallery: "
        "others work beside that, while somebody ingests, too."
    )
    if found is not None and found.address is not None:
        hint = "It lends the gallery to its own user. Ask it there, with {server}."
    error = StoreLocked(f"{in_words(found)} holds the gallery in {data_dir}", hint=hint)
    error.lasting = found is not None and found.address is not None
    return error


def _recorded(data_dir: Path) -> Holder | None:
    try:
        found = json.loads((data_dir / HOLDER).read_text(encoding="utf-8"))
        address = found.get("address")
        return Holder(
            int(found["pid"]),
            str(found["command"]),
            float(found["since"]),
            None if address is None else str(address),
        )
    except (OSError, ValueError, KeyError, TypeError):  # just being written, or of another version
        return None
