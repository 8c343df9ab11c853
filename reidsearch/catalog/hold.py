"""What a process holds of a shared gallery against all others, on whichever machine: advisory locks
of one session with the PostgreSQL server, which end with it, however that ends.

No clock is asked, and nothing is written: who is gone has let go. As long as anything is held, its
session is within a transaction, that reads and writes nothing: a pooler between, which may give
sessions to others between transactions, gives this one to nobody, and ends it where its client is
gone.
"""

import logging
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, text

from reidsearch.catalog.database import HoldLost, Mode
from reidsearch.errors import CatalogError, CatalogLocked, CatalogUnreachable

log = logging.getLogger(__name__)

TOLD_AFTER = 2.0  # seconds of waiting, until it is said for whom

# The second number of a lock; the first one stands for the schema. Greater ones are workers.
GALLERY, WRITING = 0, 1
OURS = "hashtext(current_schema())"
_HELD = f"""
    SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = {OURS}::oid"""
_TAKE = {
    Mode.SHARED: text(f"SELECT pg_advisory_lock_shared({OURS}, {GALLERY})"),
    Mode.EXCLUSIVE: text(f"SELECT pg_advisory_lock({OURS}, {GALLERY})"),
}
_TRY = text(f"SELECT pg_try_advisory_lock({OURS}, :worker)")
_RELEASE_GALLERY = {
    Mode.SHARED: text(f"SELECT pg_advisory_unlock_shared({OURS}, {GALLERY})"),
    Mode.EXCLUSIVE: text(f"SELECT pg_advisory_unlock({OURS}, {GALLERY})"),
}
_RETIRE = text(f"SELECT pg_advisory_unlock({OURS}, :worker)")
_WORKERS = text(f"{_HELD} AND objid > {WRITING}")
_HOLDERS = text(f"""
    SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name <> ''
    AND pid IN (SELECT pid FROM ({_HELD.replace("objid FROM", "pid, objid FROM")}) AS held
    WHERE objid = {GALLERY})""")
_MINE = text(f"{_HELD} AND objid = {GALLERY} AND pid = :session")
# What a server may be told to end, as it does nothing for long. PostgreSQL 17 has the second.
_STAY = text("""
    SELECT set_config(name, '0', true) FROM pg_settings
    WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')""")


class Hold:
    """This process's session for locks; made at first need. Its threads share what it holds."""

    def __init__(self, engine: Engine, *, patience: float) -> None:
        """``patience``: seconds that others are waited for who hold the gallery alone."""
        self._engine = engine
        self._patience = patience
        self._guard = threading.RLock()
        self._session: Connection | None = None
        self._pid = 0  # the number of the session's process on the server
        self._mode: Mode | None = None
        self._depth = 0
        self._working = 0  # nested in each other
        self._wanted = self._alive = False  # the worker's lock
        self.worker = _number()

    @contextmanager
    def working(self) -> Iterator[None]:
        with self._guard:
            self._working += 1
        try:
            with self._guard:
                if self._working == 1:
                    self._wanted = True
                    self._live()
            yield
        finally:
            with self._guard:
                self._working -= 1
                if not self._working:
                    self.retire()

    def retire(self) -> None:
        with self._guard:
            self._wanted = False
            if self._alive:
                self._say(_RETIRE, worker=self.worker)
                self._alive = False
            self._rest()

    def workers(self, db: Connection) -> set[int]:
        return set(db.scalars(_WORKERS)) - {self.worker}

    @contextmanager
    def held(self, mode: Mode) -> Iterator[None]:
        with self._guard:
            if not self._depth:
                self._take(mode)
            elif mode is Mode.EXCLUSIVE and self._mode is Mode.SHARED:
                raise AssertionError("two that hold it shared would wait for each other")
            self._depth += 1
        try:
            yield
        finally:
            with self._guard:
                self._depth -= 1
                if not self._depth:
                    self._release()

    def require(self, db: Connection) -> None:
        """Raise HoldLost where what is held ended with its session: asked in the transaction that
        depends on it, so that nothing can come in between."""
        if self._depth and db.execute(_MINE, {"session": self._pid}).first() is None:
            raise HoldLost(
                "the catalog's server was restarted, or cut off, while this process changed the "
                "gallery",
                hint="Nothing that was confirmed is lost. Run {same_call} again.",
            )

    def close(self) -> None:
        """Let go of everything, by ending the connection within its transaction."""
        with self._guard:
            if self._session is not None:
                with suppress(CatalogError):
                    self._session.invalidate()
                    self._session.close()
                self._session = None
            self._alive = False

    def _take(self, mode: Mode) -> None:
        session = self._live()
        try:
            for seconds in (TOLD_AFTER, self._patience):
                try:
                    with session.begin_nested():  # what waits in vain undoes no more than this
                        session.exec_driver_sql(f"SET LOCAL lock_timeout = '{seconds:g}s'")
                        session.execute(_TAKE[mode])
                    self._mode = mode
                    return
                except CatalogLocked:
                    with self._engine.connect() as db:
                        holders = ", ".join(db.scalars(_HOLDERS)) or "another process"
                    log.info("Waiting for %s, which holds the gallery.", holders)
        except BaseException:  # in which state it is nobody knows
            self.close()
            raise
        self._rest()
        raise CatalogLocked(
            f"{holders} holds the gallery",
            hint="Wait until it has ended, and run {same_call} again.",
        )

    def _release(self) -> None:
        assert self._mode is not None
        self._say(_RELEASE_GALLERY[self._mode])
        self._mode = None
        self._rest()

    def _say(self, statement: object, **values: int) -> None:
        """What needs no answer: where the session is gone, so are its locks."""
        if self._session is None:
            return
        try:
            self._session.execute(statement, values)  # type: ignore[call-overload]
        except CatalogUnreachable:
            self.close()

    def _live(self) -> Connection:
        """The session, another one where it is gone; the worker is alive in it."""
        if self._session is not None:
            try:
                self._session.exec_driver_sql("SELECT 1")
            except CatalogUnreachable:
                self.close()
        try:
            if self._session is None:
                self._session = session = self._engine.connect().execution_options(holds=True)
                session.begin()
                session.execute(_STAY)
                self._pid = int(session.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            if self._wanted and not self._alive:
                while not self._session.scalar(_TRY, {"worker": self.worker}):
                    self.worker = _number()  # it was another's
                self._alive = True
        except BaseException:
            self.close()
            raise
        return self._session

    def _rest(self) -> None:
        """Let the session be another's where nothing is held in it."""
        if self._session is None or self._mode is not None or self._alive:
            return
        try:
            self._session.commit()
            self._session.close()
            self._session = None
        except CatalogUnreachable:
            self.close()


def _number() -> int:
    return random.SystemRandom().randrange(WRITING + 1, 1 << 31)
