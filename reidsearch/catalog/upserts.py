"""Insert rows that may be there: in the one way that SQLite and PostgreSQL have in common."""

from collections.abc import Mapping, Sequence
from operator import itemgetter

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

Row = Mapping[str, object]


def insert_new(db: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert these rows; those that are there already stay as they are."""
    if rows:
        db.execute(_insert(db, table).on_conflict_do_nothing(), list(rows))


def upsert(
    db: Connection, table: Table, rows: Sequence[Row], *, key: Sequence[str], change: Sequence[str]
) -> None:
    """Insert these rows; those whose ``key`` columns are there already get the new values in the
    columns ``change`` alone. In the order of their keys, in which neither index nor another process
    that does the same is crossed."""
    if rows:
        new = _insert(db, table)
        changed = {name: new.excluded[name] for name in change}
        ordered = sorted(rows, key=itemgetter(*key))
        _write(db, new.on_conflict_do_update(index_elements=key, set_=changed), ordered)


def _write(db: Connection, statement: Insert, rows: Sequence[Row]) -> None:
    if not db.dialect.positional:
        db.execute(statement, list(rows))
        return
    # SQLAlchemy goes through every value of every row again: a tenth of an ingest's time here.
    compiled = statement.compile(dialect=db.dialect, column_keys=list(rows[0]))
    assert isinstance(compiled, SQLCompiler)
    names = compiled.positiontup or []
    db.exec_driver_sql(compiled.string, [tuple(row[name] for name in names) for row in rows])


def _insert(db: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if db.dialect.name == "sqlite" else postgresql.insert(table)
