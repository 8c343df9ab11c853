"""One process at a time changes a data dir, and who it is can be told.

The lock is the operating system's, on a file: it ends with the process, however that ends. Beside
it stands who holds it, for the message that others get.
"""

import json
import os
import threading
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from reidsearch.errors import StoreLocked

FILE, HOLDER = "lock", "lock.json"
PATIENCE = 5.0  # seconds: a query that another process runs is over by then


class Held:
    """A data dir's lock, held from the moment this is made until ``release``, or the end of a
    ``with``; any thread may release it.

    ``purpose`` is the verb that others are told of. Waits ``patience`` seconds where another
    process, or another part of this one, holds it, then raises StoreLocked, which names the holder.
    """

    def __init__(self, data_dir: Path, *, purpose: str, patience: float = PATIENCE) -> None:
        self._record = data_dir / HOLDER
        self._releasing = threading.Lock()
        self._lock = FileLock(data_dir / FILE, timeout=patience, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise StoreLocked(
                f"{_holder(data_dir)} holds the gallery in {data_dir}",
                hint="Wait until it has ended and run {same_call} again, or run a Qdrant server "
                "and use {qdrant_url}: then queries are answered during an ingest.",
            ) from None
        try:
            holder = {"pid": os.getpid(), "command": purpose, "since": time.time()}
            # Not by files.replacing, which waits for the disk: a record ends with its process.
            new = data_dir / f"{HOLDER}.new"
            new.write_text(json.dumps(holder), encoding="utf-8")
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


def _holder(data_dir: Path) -> str:
    try:
        found = json.loads((data_dir / HOLDER).read_text(encoding="utf-8"))
        since = datetime.fromtimestamp(found["since"]).strftime("%H:%M:%S")
        return f"reidsearch {found['command']} (process {found['pid']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):  # just being written, or of another version
        return "another process"
