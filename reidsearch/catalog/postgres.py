"""A catalog in a PostgreSQL database, which processes on many machines use at once.

Whatever writes takes its turn, as with SQLite: one lock for the whole catalog, from the beginning
of a transaction to its end. Transactions are short, work lies between them, and so there are no
deadlocks and nothing that could not be serialised; what another program's long lock stops all the
same is told as waiting in vain. What takes longer than a transaction is held by ``hold.Hold``.
"""

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from reidsearch.catalog import hold
from reidsearch.catalog.database import HoldLost, Mode
from reidsearch.catalog.refusals import error_of
from reidsearch.environment import catalog_password
from reidsearch.errors import CatalogError, CatalogUnreachable, UsageError

if TYPE_CHECKING:  # which only those have who asked for it
    import psycopg

T = TypeVar("T")

DRIVER = "postgresql+psycopg"
# Of what may stand behind a URL's question mark, what says where the database is, and how it is to
# be spoken to; no password.
NAMING = ("host", "port", "sslmode", "sslrootcert", "target_session_attrs")
OLDEST = 13  # the version from which on all that is asked for is there
OPENING = 5.0  # seconds that a server is tried when it is first asked
PATIENCE = 60.0  # seconds in which one that was there may come back
CONNECTING = 5  # seconds for one try
LOCKED = 30_000  # milliseconds for another's turn in writing
HELD = 600.0  # seconds for another's work that needs the gallery alone
# What went silent, client or server, is given up after 10 + 3 x 5 seconds, not after hours; and
# after as many where something was sent that has not arrived, about which nobody asks: it would be
# sent again and again, for a quarter of an hour.
KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
GIVEN_UP = 25  # seconds


# What transactions begin with.
_AS_IT_IS = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
_AT_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WAIT = f"SET LOCAL lock_timeout = {LOCKED}"
_TURN = f"SELECT pg_advisory_xact_lock({hold.OURS}, {hold.WRITING})"


class PostgresDatabase:
    """The database at ``url``; see ``database.Database``. Nothing is sent before it is needed."""

    shared = True

    def __init__(self, url: str, *, purpose: str) -> None:
        """Raises UsageError where the URL cannot be one, the file that is to hold its password does
        not, or psycopg is not installed."""
        self.address, self.engine = _engine(url, purpose)
        self._hold = hold.Hold(self.engine, patience=HELD)
        self._patience = OPENING

    @property
    def worker(self) -> int:
        return self._hold.worker

    def identity(self) -> str:
        """A dump that is restored elsewhere is another database, with the same catalog in it."""
        query = """
            SELECT system_identifier, current_schema(),
                (SELECT oid FROM pg_database WHERE datname = current_database())
            FROM pg_control_system()"""
        with self.engine.connect() as db:
            cluster, schema, database = db.exec_driver_sql(query).one()
        return f"{cluster}/{database}/{schema}"

    def working(self) -> AbstractContextManager[None]:
        return self._hold.working()

    def retire(self) -> None:
        self._hold.retire()

    def workers(self, db: Connection) -> set[int]:
        return self._hold.workers(db)

    def held(self, mode: Mode) -> AbstractContextManager[None]:
        return self._hold.held(mode)

    def require_held(self, db: Connection) -> None:
        self._hold.require(db)

    def again(self, work: Callable[[], T]) -> T:
        tries = Retrying(
            retry=retry_if_exception(_passes),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            reraise=True,
        )
        found = tries(work)
        self._patience = PATIENCE
        return found

    def check(self) -> None:
        """Its server looks after its files."""

    def compact(self) -> bool:
        """Tables are rewritten; the server's log of changes keeps what was deleted until it is
        used anew, and so does every backup."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            db.exec_driver_sql(f"SET lock_timeout = {LOCKED}")  # it can be in no transaction
            try:
                db.exec_driver_sql("VACUUM (FULL)")
            finally:
                db.exec_driver_sql("RESET lock_timeout")
        return False

    def truncate_log(self) -> None:
        pass

    def backups(self) -> list[Path]:
        return []

    def close(self) -> None:
        self._hold.close()
        self.engine.dispose()


def _passes(error: BaseException) -> bool:
    """What is over by itself; a lost hold is not: whoever had it has to look anew."""
    return isinstance(error, CatalogUnreachable) and not isinstance(error, HoldLost)


def address_of(url: str) -> str:
    """The address of the database at ``url``, written in one way and without a password. Raises
    UsageError where it cannot be read."""
    return _address(_parsed(url))


def _parsed(url: str) -> URL:
    try:
        return make_url(url).set(drivername=DRIVER)
    except (ArgumentError, ValueError):
        raise _unreadable() from None


def _address(url: URL) -> str:
    query = {key: url.query[key] for key in NAMING if key in url.query}
    return URL.create(
        DRIVER,
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query=query,
    ).render_as_string()


def _unreadable() -> UsageError:
    return UsageError(
        "the catalog's URL cannot be read",  # it may hold a password
        hint="Write it like postgresql+psycopg://user@host:5432/database.",
    )


def _engine(url: str, purpose: str) -> tuple[str, Engine]:
    """The address without secrets, and an engine that does not connect yet."""
    try:
        import psycopg
    except ImportError:
        raise UsageError(
            "a catalog on PostgreSQL needs psycopg",
            hint="Install it with: pip install 'reidsearch[postgres]'",
        ) from None
    parsed = _parsed(url)
    address = _address(parsed)
    name = f"reidsearch {purpose} on {socket.gethostname()} ({os.getpid()})"
    try:
        if parsed.password is None:
            parsed = parsed.set(password=catalog_password())
        engine = create_engine(
            parsed,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECTING,
                "application_name": name.encode(errors="replace")[:63].decode(errors="ignore"),
                "prepare_threshold": None,  # a pooler between would mix them up
                "tcp_user_timeout": GIVEN_UP * 1000,
                **KEEPALIVE,
            },
        )
    except (ArgumentError, ValueError):
        raise _unreadable() from None

    @event.listens_for(engine, "connect")
    def _configure(connection: psycopg.Connection, _: object) -> None:
        if connection.info.server_version < OLDEST * 10_000:
            version = connection.info.parameter_status("server_version")
            raise CatalogError(
                f"the catalog's server at {address} is PostgreSQL {version}",
                hint=f"Version {OLDEST} or later is needed.",
            )
        connection.autocommit = True
        _settle(connection, address)
        connection.autocommit = False

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return
        # What is set for a session may reach another's, through a pooler: set it for each
        # transaction.
        if options.get("holds", False):
            first = _AS_IT_IS
        elif options.get("writes", False):
            first = f"{_AS_IT_IS}; {_WAIT}; {_TURN}"
        else:
            first = f"{_AT_ONE_MOMENT}; {_WAIT}"
        connection.exec_driver_sql(first)

    @event.listens_for(engine, "handle_error")
    def _translate(context: ExceptionContext) -> None:
        original = context.original_exception
        if isinstance(original, psycopg.Error):
            raise error_of(original, address) from original

    return address, engine


def _settle(connection: "psycopg.Connection", address: str) -> None:
    """What a new connection is told, or refused for."""
    (server,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    if server == connection.info.backend_pid:
        for option, value in KEEPALIVE.items():
            connection.execute(f"SET tcp_{option} = {value}")
        connection.execute(f"SET tcp_user_timeout = {GIVEN_UP * 1000}")
    elif connection.info.options:
        # A pooler is between, which has sessions of its own: they may be without these.
        raise CatalogError(
            f"the catalog at {address} is asked with options ({connection.info.options}), and a "
            "pooler between passes none on",
            hint="Give them to the role in place of PGOPTIONS or the URL: ALTER ROLE ... SET ...",
        )
