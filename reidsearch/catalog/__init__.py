"""The SQLite catalog: what exists, where it came from, and which vectors are stored.

The catalog is the truth; the vector collection can be rebuilt from it and the images.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, and_, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.embeddings import COMPACTION, Candidate, Embeddings, State
from reidsearch.catalog.images import Images, Stored
from reidsearch.catalog.learned import Learned
from reidsearch.catalog.log import Log
from reidsearch.catalog.runs import Runs
from reidsearch.catalog.tables import dataset, embedding, encoder, setting
from reidsearch.errors import CatalogError, CatalogLocked, UsageError

__all__ = ["Candidate", "Catalog", "State", "Stored"]


class Catalog(TableGroup):
    """The catalog behind an engine whose schema is current (see ``schema.open_catalog``).

    Of data sets and encoders it knows itself; of all else its parts do.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.images = Images(engine)
        self.embeddings = Embeddings(engine)
        self.runs = Runs(engine)
        self.learned = Learned(engine)
        self.log = Log(engine)

    def close(self) -> None:
        self.engine.dispose()

    @property
    def key(self) -> str:
        """Names this catalog among others that share a Qdrant server."""
        with self._reading() as db:
            return str(db.scalar(select(setting.c.value).where(setting.c.key == "catalog")))

    def add_dataset(self, name: str, root: Path) -> int:
        """The id of the data set of that name, made where it is new.

        A data set whose old root is gone has moved, and its root is updated. Raises UsageError
        where the name belongs to another folder that still exists.
        """
        with self._writing() as db:
            known = db.execute(select(dataset).where(dataset.c.name == name)).first()
            if known is None:
                new = db.execute(insert(dataset).values(name=name, root=str(root)))
                return int(new.inserted_primary_key[0])  # type: ignore[index]
            if known.root != str(root):
                if Path(known.root).exists():
                    raise UsageError(
                        f"a data set named {name!r} is already stored, from {known.root}",
                        hint="Give this one a name of its own with --name.",
                    )
                db.execute(update(dataset).where(dataset.c.id == known.id).values(root=str(root)))
            return int(known.id)

    def add_encoder(self, *, fingerprint: str, name: str, dimension: int) -> int:
        """The id of the encoder with that fingerprint, made where it is new."""
        with self._writing() as db:
            db.execute(
                insert(encoder)
                .values(fingerprint=fingerprint, name=name, dimension=dimension)
                .on_conflict_do_nothing()
            )
            query = select(encoder.c.id).where(encoder.c.fingerprint == fingerprint)
            return int(db.execute(query).scalar_one())

    def encoders(self) -> list[Row[Any]]:
        """Rows of id, fingerprint, name, dimension and number of indexed images, the fullest
        first."""
        count = func.count(embedding.c.image_id)
        indexed = and_(embedding.c.encoder_id == encoder.c.id, embedding.c.state == State.INDEXED)
        query = (
            select(
                encoder.c.id,
                encoder.c.fingerprint,
                encoder.c.name,
                encoder.c.dimension,
                count.label("indexed"),
            )
            .select_from(encoder.outerjoin(embedding, indexed))
            .group_by(encoder.c.id)
            .order_by(count.desc(), encoder.c.id)
        )
        with self._reading() as db:
            return list(db.execute(query))

    def encoder_fingerprint(self, encoder_id: int) -> str:
        """The fingerprint of the encoder with that id."""
        query = select(encoder.c.fingerprint).where(encoder.c.id == encoder_id)
        with self._reading() as db:
            return str(db.execute(query).scalar_one())

    def check(self) -> None:
        """Raise CatalogError where SQLite finds the file damaged."""
        with self._reading() as db:
            found = db.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise CatalogError(
                f"the catalog {self.engine.url.database} is damaged: {found}",
                hint="Restore a backup of it, or choose another --data-dir and ingest again.",
            )

    @property
    def compaction_owed(self) -> bool:
        """Whether bytes of deleted images are still to be removed from both stores' files."""
        with self._reading() as db:
            return db.scalar(select(setting).where(setting.c.key == COMPACTION)) is not None

    def compact(self) -> None:
        """Rewrite the file without what was deleted, its log included; then no compaction is owed.

        Raises CatalogLocked where another process reads the catalog for too long.
        """
        with closing(self.engine.raw_connection()) as raw:
            raw.execute("VACUUM")
        self._truncate_log()
        with self._writing() as db:
            db.execute(delete(setting).where(setting.c.key == COMPACTION))
        self._truncate_log()

    def _truncate_log(self) -> None:
        with closing(self.engine.raw_connection()) as raw:
            (busy, *_) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise CatalogLocked(
                "another process reads the catalog, so that its old log cannot be removed",
                hint="Wait for it to end, and run the same command again.",
            )
