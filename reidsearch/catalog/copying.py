"""A catalog's rows, copied to another database: all of them or none, each held against its source.

Between SQLite and PostgreSQL the tables are the same, and so are their rows; what differs is who
counts ids on, and that many machines share a PostgreSQL, where a folder is on the disk of one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

from sqlalchemy import Connection, Table, delete, func, insert, select, text

from reidsearch import faults
from reidsearch.catalog import settings
from reidsearch.catalog.database import Database
from reidsearch.catalog.records import Left, Part, Whereabouts
from reidsearch.catalog.residence import write_left
from reidsearch.catalog.settings import Setting
from reidsearch.catalog.tables import (
    dataset,
    embedding,
    encoder,
    expanded_part,
    image,
    metadata,
    setting,
)
from reidsearch.errors import CatalogError

ROWS = 2000  # at a time
PARTS = 16  # of those that hold a few hundred images each
_STAYS = (Setting.MOVED, Setting.ARRIVING, Setting.LEFT)  # what is said of the source alone

Row = Mapping[str, object]


def is_empty(database: Database) -> bool:
    """Whether a catalog lists nothing: no data set, image or encoder."""
    with database.engine.connect() as db:
        return all(db.execute(select(one).limit(1)).first() is None for one in _TRUTH)


def copy(
    source: Database,
    target: Database,
    *,
    from_: Whereabouts,
    to: Whereabouts,
    left: frozenset[Left],
    machine: str,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, int]:
    """Put the rows of ``source`` in place of those of ``target``, which is noted to be
    ``arriving`` from there. Returns the number of rows of each table.

    All is read back and compared before it is confirmed, in one transaction: where that is cut
    short, ``target`` is as it was. Folders on this ``machine``'s disk are noted to be, where
    ``target`` is for many. ``left`` are the places that still hold what was moved from them.

    Raises CatalogError where what is read back is not what was written, and as databases do.
    """
    counts: dict[str, int] = {}
    with (
        source.engine.connect() as here,
        target.engine.connect().execution_options(writes=True) as there,
        here.begin(),
        there.begin(),
    ):
        target.require_held(there)
        for table in reversed(metadata.sorted_tables):
            there.execute(delete(table))
        for table in metadata.sorted_tables:
            told, count = _Sum(), 0
            for rows in _pages(here, table):
                kept = [
                    _row(table, row, machine if target.shared else None)
                    for row in rows
                    if table is not setting or row["key"] not in _STAYS
                ]
                if kept:
                    there.execute(insert(table), kept)
                told.add(kept)
                count += len(kept)
                on_progress(len(kept))
            read = _Sum()
            for rows in _pages(there, table):
                read.add(rows)
            if read != told:
                raise CatalogError(
                    f"what {target.address} gives back of {table.name} is not what was written",
                    hint="Nothing was changed. Look into the server's or the disk's log, and run "
                    "{same_call} again.",
                )
            counts[table.name] = count
            faults.reach("table copied")
        if target.shared:
            _count_on(there)
        former = settings.read(there, Setting.HOME) or from_.home
        settings.write(there, Setting.FORMER, former)
        settings.write(there, Setting.HOME, to.home)
        settings.write(there, Setting.ARRIVING, json.dumps(asdict(from_)))
        gone = Left(part=Part.CATALOG, address=to.address)
        write_left(there, (left - {gone}) | {Left(part=Part.CATALOG, address=from_.address)})
        faults.reach("catalog copied")
    return counts


def empty(database: Database) -> None:
    """Delete all that a catalog holds which was left: what stays says where it has gone. Its bytes
    go with the next ``compact``."""
    with database.engine.connect().execution_options(writes=True) as db, db.begin():
        database.require_held(db)
        for table in reversed(metadata.sorted_tables):
            if table is not setting:
                db.execute(delete(table))


_TRUTH = (dataset, image, encoder)


class _Sum:
    """Of rows in any order, what other rows hardly have."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, rows: list[Row]) -> None:
        for row in rows:
            told = repr(tuple(row.values())).encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(told, digest_size=16).digest()
            self._sum = (self._sum + int.from_bytes(digest, "big")) % (1 << 128)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sum) and self._sum == other._sum

    __hash__ = None  # type: ignore[assignment]


def _pages(db: Connection, table: Table) -> Iterator[list[Row]]:
    count = PARTS if table is expanded_part else ROWS
    found = db.execute(select(table).execution_options(yield_per=count))
    for page in found.mappings().partitions(count):
        yield [dict(row) for row in page]


def _row(table: Table, row: Row, machine: str | None) -> Row:
    """A row as it is in the other catalog: with nobody at work, and on a disk that is known."""
    if table is embedding:
        return {**row, "worker": None}
    if table is dataset and machine is not None and row["machine"] is None:
        return {**row, "machine": machine}
    return row


def _count_on(db: Connection) -> None:
    """Let PostgreSQL give the next rows ids that none has."""
    for table in metadata.sorted_tables:
        id = table.c.get("id")
        if id is None or id is not table.autoincrement_column:
            continue
        most = db.scalar(select(func.max(id)))
        sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
        db.execute(
            text(f"SELECT setval({sequence}, :at, :used)"),
            {"at": most or 1, "used": most is not None},
        )
