"""Where the catalog's tables are, and what its parts share: transactions."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, and_

from reidsearch.catalog import settings
from reidsearch.catalog.settings import Setting
from reidsearch.catalog.tables import embedding, image
from reidsearch.errors import CatalogError, CatalogMoved, CatalogUnreachable

T = TypeVar("T")


class Mode(StrEnum):
    """How a gallery is held against other processes."""

    SHARED = "shared"  # beside others that do the same: to take images in
    EXCLUSIVE = "exclusive"  # alone: to delete, to learn


class Database(Protocol):
    """A SQLite file, or a PostgreSQL server's database, with the catalog's tables.

    ``address`` says where it is, without secrets; ``shared`` whether processes on many machines may
    use it at once. ``worker`` is the number of this process among all that take images in: rows
    that it claims have it.
    """

    @property
    def engine(self) -> Engine: ...

    @property
    def address(self) -> str: ...

    @property
    def shared(self) -> bool: ...

    @property
    def worker(self) -> int: ...

    def identity(self) -> str:
        """A text that tells it from a copy of it."""

    def working(self) -> AbstractContextManager[None]:
        """Within it, other processes find this one's worker alive."""

    def retire(self) -> None:
        """Be no worker any more, within ``working``."""

    def workers(self, db: Connection) -> set[int]:
        """The other workers that live at this moment."""

    def held(self, mode: Mode) -> AbstractContextManager[None]:
        """Hold the gallery against processes on other machines. May be nested, but for EXCLUSIVE
        in SHARED.

        Raises CatalogLocked where others do not end. Where it is lost meanwhile, as the server was
        restarted, the next transaction that writes raises CatalogUnreachable in place of doing so.
        """

    def require_held(self, db: Connection) -> None:
        """Raise HoldLost where what ``held`` promises is not so any more."""

    def again(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, tried again while the server is away. Raises as it does."""

    def check(self) -> None:
        """Raise CatalogError where it is found damaged."""

    def compact(self) -> bool:
        """Rewrite the files without what was deleted; False where a server's log keeps it for a
        while. Raises CatalogLocked where another process reads for too long."""

    def truncate_log(self) -> None:
        """Remove what its log still holds, where that is a file of ours. Raises as ``compact``."""

    def backups(self) -> list[Path]:
        """The copies that upgrades left, also those that a kill left half."""

    def close(self) -> None:
        """Let go of it."""


class HoldLost(CatalogUnreachable):
    """The server went away while this process held the gallery: others may have changed it."""


class TableGroup:
    """Some of the catalog's tables. Every method is one transaction; where the server went away
    before it was confirmed, it is tried again."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.engine = database.engine

    def __init_subclass__(cls) -> None:
        for name, member in list(vars(cls).items()):
            if name.startswith("_") or name in _WITHOUT_TRANSACTION:
                continue
            if isinstance(member, property) and member.fget is not None:
                setattr(cls, name, property(_repeated(member.fget)))
            elif inspect.isfunction(member) and not inspect.isgeneratorfunction(member):
                setattr(cls, name, _repeated(member))

    def _reading(self) -> Connection:
        return self.engine.connect()

    @contextmanager
    def _writing(self, *, once: bool = False) -> Iterator[Connection]:
        """``once`` says of what must not be done twice: where nobody can say whether it was
        confirmed, it is not tried again."""
        with self.engine.connect().execution_options(writes=True) as db:
            transaction = db.begin()
            try:
                self.database.require_held(db)
                if settings.read(db, Setting.MOVED) is not None:
                    raise CatalogMoved(
                        f"the catalog {self.database.address} was moved elsewhere meanwhile",
                        hint="Run {same_call} again: it goes on where the catalog is now.",
                    )
                yield db
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except CatalogUnreachable as error:
                if not once:
                    raise
                raise CatalogError(
                    f"{error.message}; whether the last step was done before nobody can say",
                    hint="Run {same_call} again: what was done is found.",
                ) from error


_WITHOUT_TRANSACTION = ("close", "compact")


def _repeated(method: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(method)
    def repeated(self: TableGroup, *given: Any, **named: Any) -> T:
        return self.database.again(lambda: method(self, *given, **named))

    return repeated


def embedding_of_image(encoder_id: int) -> ColumnElement[bool]:
    """That a row of ``embedding`` belongs to a row of ``image``, and to this encoder."""
    return and_(embedding.c.image_id == image.c.id, embedding.c.encoder_id == encoder_id)
