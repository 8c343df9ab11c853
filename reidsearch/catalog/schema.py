"""Open the catalog with its schema at head, upgrading it with Alembic where it is older."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event

from reidsearch import faults
from reidsearch.catalog import Catalog
from reidsearch.errors import CatalogError, CatalogLocked, NewerSchema
from reidsearch.files import replacing

# The newest revision in migrations/. Kept here so that opening a current catalog, which every
# command does, need not import Alembic; a test holds the two together.
HEAD = "0010"
LOCK_SECONDS = 10.0  # as long as another program's writing is waited for


def open_catalog(path: Path, *, lock_seconds: float = LOCK_SECONDS) -> Catalog:
    """The catalog in the SQLite file at ``path``, made or upgraded as needed.

    While another program writes, every use of it waits for up to ``lock_seconds`` and then raises
    CatalogLocked. Raises NewerSchema where a newer reidsearch wrote it, CatalogError where it is no
    catalog.
    """
    engine = connect(path, lock_seconds=lock_seconds)
    try:
        revision = _revision(engine)
        if revision != HEAD:
            _upgrade(engine, path, revision)
    except CatalogError:
        engine.dispose()
        raise
    return Catalog(engine)


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

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and then writes fails where another wrote in between, and
        # no waiting helps; one that says at once that it will write waits for its turn.
        options = connection.get_execution_options()
        if options.get("upgrades", False):  # tables are made anew that others refer to
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        writes = options.get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

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


def migrations() -> Path:
    """The folder of Alembic's scripts: in the wheel inside the package, in a checkout beside it."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _revision(engine: Engine) -> str | None:
    with engine.connect() as db:
        tables = db.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").all()
        if not tables:
            return None
        if ("alembic_version",) not in {tuple(t) for t in tables}:
            raise CatalogError(
                f"{engine.url.database} is a database of another program",
                hint="Choose another {data_dir}.",
            )
        return _version(db)


def _version(db: Connection) -> str:
    return str(db.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def _upgrade(engine: Engine, path: Path, revision: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    if revision is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(revision)
        except CommandError:
            raise NewerSchema(
                f"{path} was written by a newer reidsearch (its schema is {revision}, "
                f"this version knows {HEAD})",
                hint="Upgrade with: pip install --upgrade reidsearch, or choose another "
                "{data_dir}. Nothing was changed.",
            ) from None
    with engine.execution_options(writes=True, upgrades=True).begin() as db:
        if revision is not None and _version(db) != HEAD:  # else another process was quicker
            _back_up(path, revision)
            faults.reach("backed up")
        config.attributes["connection"] = db
        command.upgrade(config, "head")
        if db.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            raise CatalogError(
                f"the catalog {path} cannot be upgraded: rows refer to others that are missing",
                hint="Restore a backup of it, or choose another {data_dir} and ingest again. "
                "Nothing was changed.",
            )
        faults.reach("migrated")
    engine.dispose()  # connections from now on hold on to foreign keys
    faults.reach("upgraded")


def backups(path: Path) -> list[Path]:
    """The copies of a catalog that upgrades left beside it, also those that a kill left half."""
    return sorted(path.parent.glob(f"{path.name}.*.backup*"))


def _back_up(path: Path, revision: str) -> None:
    """Copy the catalog to a file beside it, whole or not at all."""
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
