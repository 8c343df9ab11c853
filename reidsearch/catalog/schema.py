"""Open the catalog with its schema at head, upgrading it with Alembic where it is older."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from sqlalchemy import Connection, inspect

from reidsearch import faults
from reidsearch.catalog import Catalog, sqlite
from reidsearch.catalog.database import Database
from reidsearch.catalog.sqlite import LOCK_SECONDS, SqliteFile
from reidsearch.errors import CatalogError, NewerSchema

# The newest revision in migrations/. Kept here so that opening a current catalog, which every
# command does, need not import Alembic; a test holds the two together.
HEAD = "0013"


def open_catalog(path: Path, *, lock_seconds: float = LOCK_SECONDS) -> Catalog:
    """The catalog in the SQLite file at ``path``, made or upgraded as needed.

    While another program writes, every use of it waits for up to ``lock_seconds`` and then raises
    CatalogLocked. Raises NewerSchema where a newer reidsearch wrote it, CatalogError where it is no
    catalog.
    """
    file = SqliteFile(path, lock_seconds=lock_seconds)
    return _opened(file, lambda revision: sqlite.back_up(path, revision))


def open_shared(url: str, *, purpose: str) -> Catalog:
    """The catalog in the PostgreSQL database at ``url``, made or upgraded as needed. Others are
    told that this process is there for a ``purpose``.

    Raises UsageError where psycopg is missing, CatalogUnreachable where the server does not answer,
    CatalogError where it does not let us in, NewerSchema where a newer reidsearch wrote it.
    """
    from reidsearch.catalog.postgres import PostgresDatabase  # only who needs it has its driver

    server = PostgresDatabase(url, purpose=purpose)
    return server.again(lambda: _opened(server, lambda revision: None))


def find_shared(url: str, *, purpose: str) -> Catalog | None:
    """The same, where there is one; none is made."""
    from reidsearch.catalog.postgres import PostgresDatabase

    with ExitStack() as stack:
        server = stack.enter_context(closing(PostgresDatabase(url, purpose=purpose)))
        if server.again(lambda: revision(server)) is None:
            return None
        found = server.again(lambda: _opened(server, lambda revision: None))
        stack.pop_all()
        return found


def address_of(url: str) -> str:
    """How the database at ``url`` is called in messages and notes: without secrets. Raises as
    ``open_shared`` does before it connects."""
    from reidsearch.catalog import postgres

    return postgres.address_of(url)


def _opened(database: Database, back_up: Callable[[str], None]) -> Catalog:
    try:
        found = revision(database)
        if found != HEAD:
            _upgrade(database, found, back_up)
    except CatalogError:
        database.close()
        raise
    return Catalog(database)


def migrations() -> Path:
    """The folder of Alembic's scripts: in the wheel inside the package, in a checkout beside it."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def revision(database: Database) -> str | None:
    """Of which revision the tables are; None where there are none. Raises CatalogError where they
    are another program's."""
    with database.engine.connect() as db:
        tables = set(inspect(db).get_table_names())
        if not tables:
            return None
        if not {"alembic_version", "embedding"} <= tables:
            raise CatalogError(
                f"{database.address} is a database of another program",
                hint="Choose another {catalog_url}." if database.shared else
                "Choose another {data_dir}.",
            )  # fmt: skip
        return _version(db)


def _version(db: Connection) -> str:
    return str(db.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def _upgrade(database: Database, found: str | None, back_up: Callable[[str], None]) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    if found is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(found)
        except CommandError:
            other = "{catalog_url}" if database.shared else "{data_dir}"
            raise NewerSchema(
                f"{database.address} was written by a newer reidsearch (its schema is {found}, "
                f"this version knows {HEAD})",
                hint="Upgrade with: pip install --upgrade reidsearch, or choose another "
                f"{other}. Nothing was changed.",
            ) from None
    with database.engine.execution_options(writes=True, upgrades=True).begin() as db:
        if found is not None and _version(db) != HEAD:  # else another process was quicker
            back_up(found)
            faults.reach("backed up")
        config.attributes["connection"] = db
        command.upgrade(config, "head")
        if not database.shared and db.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise CatalogError(
                f"the catalog {database.address} cannot be upgraded: rows refer to others that are "
                "missing",
                hint="Restore a backup of it, or choose another {data_dir} and ingest again. "
                "Nothing was changed.",
            )
        faults.reach("migrated")
    database.engine.dispose()  # connections from now on hold on to foreign keys
    faults.reach("upgraded")
