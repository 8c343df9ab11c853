"""One process at a time changes a data dir, and who it is can be told.

The lock is the operating system's, on a file: it ends with the process, however that ends. Beside
it stands who holds it, for the message that others get.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from reidsearch.errors import StoreLocked

FILE, HOLDER = "lock", "lock.json"
PATIENCE = 5.0  # seconds: a query that another process runs is over by then


@contextmanager
def held(data_dir: Path, *, purpose: str) -> Iterator[None]:
    """Hold the data dir's lock, for a command named ``purpose``.

    Waits PATIENCE seconds where another process holds it, then raises StoreLocked, which names the
    holder.
    """
    lock = FileLock(data_dir / FILE, timeout=PATIENCE)
    try:
        lock.acquire()
    except Timeout:
        raise StoreLocked(
            f"{_holder(data_dir)} holds the gallery in {data_dir}",
            hint="Wait until it has ended and run the same command again, or run a Qdrant server "
            "and use --qdrant-url: then queries are answered during an ingest.",
        ) from None
    try:
        holder = {"pid": os.getpid(), "command": purpose, "since": time.time()}
        (data_dir / HOLDER).write_text(json.dumps(holder), encoding="utf-8")
        yield
    finally:
        (data_dir / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(data_dir: Path) -> str:
    try:
        found = json.loads((data_dir / HOLDER).read_text(encoding="utf-8"))
        since = datetime.fromtimestamp(found["since"]).strftime("%H:%M:%S")
        return f"reidsearch {found['command']} (process {found['pid']}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):  # just being written, or by another version
        return "another process"
