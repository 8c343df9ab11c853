"""A catalog in a SQLite file: one machine's, changed by one process at a time.

Who that is the data dir's lock tells (``lock.py``), so that nothing is to be claimed here.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from reidsearch.catalog.database import Mode
from reidsearch.errors import CatalogError, CatalogLocked
from reidsearch.files import replacing

LOCK_SECONDS = 10.0  # as long as another program's writing is waited for
KEPT = 2 << 10  # KiB of the file at most that a connection keeps in memory,
WRITERS = 64 << 10  # and while it writes
T = TypeVar("T")


class SqliteFile:
    """The file at ``path``, with its folder made; see ``database.Database``."""

    shared = False
    worker = 0

    def __init__(self, path: Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        self.path = path
        self.engine = connect(path, lock_seconds=lock_seconds)

    @property
    def address(self) -> str:
        return str(self.path)

    def identity(self) -> str:
        """A copy is another file, wherever this one is moved to on its disk."""
        return str(self.path.stat().st_ino)

    @contextmanager
    def working(self) -> Iterator[None]:
        yield

    def retire(self) -> None:
        pass

    def workers(self, db: Connection) -> set[int]:
        return set()

    @contextmanager
    def held(self, mode: Mode) -> Iterator[None]:
        yield

    def require_held(self, db: Connection) -> None:
        pass

    def again(self, work: Callable[[], T]) -> T:
        return work()

    def check(self) -> None:
        with self.engine.connect() as db:
            found = db.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise CatalogError(
                f"the catalog {self.path} is damaged: {found}",
                hint="Restore a backup of it, or choose another {data_dir} and ingest again.",
            )

    def compact(self) -> bool:
        with closing(self.engine.raw_connection()) as raw:
            raw.execute("VACUUM")
        self.truncate_log()
        return True

    def truncate_log(self) -> None:
        with closing(self.engine.raw_connection()) as raw:
            (busy, *_) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise CatalogLocked(
                "another process reads the catalog, so that its old log cannot be removed",
                hint="Wait for it to end, and run {same_call} again.",
            )

    def backups(self) -> list[Path]:
        return backups(self.path)

    def close(self) -> None:
        self.engine.dispose()


def make_folder(path: Path) -> None:
    """Make the data dir where it is new. Raises CatalogError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogError(
            f"the data dir {path} cannot be made: {error.strerror}",
            hint="Choose another with {data_dir}.",
        ) from None


def connect(path: Path, *, lock_seconds: float = LOCK_SECONDS) -> Engine:
    """An engine on the SQLite file at ``path``, with its folder made."""
    make_folder(path.parent)
    # Left to itself, sqlite3 commits before every DDL statement; with transactions begun by hand
    # an upgrade is applied whole or not at all.
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # in a text, ? and % would mean something
        connect_args={"timeout": lock_seconds, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # WAL lets queries read while an ingest writes.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
        connection.execute(f"PRAGMA cache_size = {-KEPT}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and then writes fails where another wrote in between, and
        # no waiting helps; one that says at once that it will write waits for its turn.
        options = connection.get_execution_options()
        if options.get("upgrades", False):  # tables are made anew that others refer to
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        writes = options.get("writes", False)
        if writes:  # images are in no order, so that a batch of them changes pages everywhere
            connection.info["writer"] = True
            connection.exec_driver_sql(f"PRAGMA cache_size = {-WRITERS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @event.listens_for(engine, "checkin")
    def _shrink(connection: sqlite3.Connection | None, record: ConnectionPoolEntry) -> None:
        if connection is not None and record.info.pop("writer", False):
            # Threads take turns with several connections, each of which would stay so large.
            connection.execute(f"PRAGMA cache_size = {-KEPT}")

    @event.listens_for(engine, "handle_error")
    def _translate(context: ExceptionContext) -> None:
        original = context.original_exception
        if not isinstance(original, sqlite3.Error):
            return
        if "locked" in str(original):
            raise CatalogLocked(
                f"another program holds the catalog {path}: {original}",
                hint="Wait for it to end, and run {same_call} again.",
            ) from original
        raise CatalogError(
            f"the catalog {path} cannot be used: {original}",
            hint="Check the folder's permissions and free space; if the file is damaged, restore "
            "a backup or choose another {data_dir} and ingest again.",
        ) from original

    return engine


def copy(path: Path, to: Path) -> None:
    """Copy a catalog whose folder can only be read to a new file, as it is at one moment.

    Raises CatalogError where that cannot be done.
    """
    try:
        try:
            with (
                closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(to)) as copied,
            ):
                source.backup(copied)
        except sqlite3.Error:
            # SQLite reads beside a writer, and cannot where it would have to make the files that
            # it needs for that. Then there is no writer, and the files are all there is.
            for ending in ("", "-wal"):
                if ending == "" or path.with_name(path.name + ending).exists():
                    shutil.copyfile(
                        path.with_name(path.name + ending), to.with_name(to.name + ending)
                    )
    except OSError as error:
        raise CatalogError(
            f"the gallery in {path.parent} can only be read, and no copy of its catalog can be "
            f"made in {to.parent}: {error.strerror}",
            hint="Let TMPDIR name a folder with enough space.",
        ) from None


def remove(path: Path) -> None:
    """Delete a catalog's file, where there is one, and those that SQLite keeps beside it."""
    path.unlink(missing_ok=True)
    remove_beside(path)


def remove_beside(path: Path) -> None:
    """Delete what SQLite keeps beside a file, and would take for another's of that name."""
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def backups(path: Path) -> list[Path]:
    """The copies of a catalog that upgrades left beside it, also those that a kill left half."""
    return sorted(path.parent.glob(f"{path.name}.*.backup*"))


def back_up(path: Path, revision: str) -> None:
    """Copy the catalog to a file beside it, whole or not at all. Raises CatalogError."""
    try:
        with (
            replacing(path.with_name(f"{path.name}.{revision}.backup")) as partial,
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
    except (OSError, sqlite3.Error) as error:
        raise CatalogError(
            f"no backup of {path} can be made before it is upgraded: {error}",
            hint="Free some space in its folder. Nothing was changed.",
        ) from None
