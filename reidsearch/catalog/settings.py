"""What the catalog notes of the whole gallery: rows of ``setting``, a key and a text.

A new key needs no migration: a row that is not there says that nothing is noted.
"""

from enum import StrEnum

from sqlalchemy import Connection, delete, select

from reidsearch.catalog.tables import setting
from reidsearch.catalog.upserts import upsert


class Setting(StrEnum):
    """The keys."""

    KEY = "catalog"  # names this catalog among others that share a Qdrant server
    COMPACTION = "compaction"  # one is owed: bytes of deleted images are still in the files
    STORE = "store"  # the address of the vectors
    HOME = "home"  # the machine and folder where the gallery was last used
    FORMER = "former home"  # the same of where it was before it was moved
    MOVED = "moved"  # to where: this is no gallery's catalog any more
    ARRIVING = "arriving"  # from where: it is no gallery's catalog yet
    LEFT = "left"  # the places that it was moved from, and that still hold what they held


def read(db: Connection, key: Setting) -> str | None:
    """What is noted under that key."""
    return db.scalar(select(setting.c.value).where(setting.c.key == key))


def write(db: Connection, key: Setting, value: str) -> None:
    """Note it, in place of what was."""
    upsert(db, setting, [{"key": key, "value": value}], key=["key"], change=["value"])


def remove(db: Connection, *keys: Setting) -> None:
    """Note nothing under these keys any more."""
    db.execute(delete(setting).where(setting.c.key.in_(keys)))
