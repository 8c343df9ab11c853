"""The SQLite catalog: what exists, where it came from, and which vectors are stored.

The catalog is the truth; the vector collection can be rebuilt from it and the images.
"""

import secrets
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, and_, func, select, update
from sqlalchemy.dialects.sqlite import insert

from reidsearch.catalog import settings
from reidsearch.catalog.database import VARIABLES, TableGroup
from reidsearch.catalog.embeddings import Embeddings
from reidsearch.catalog.images import Images, StoredImages
from reidsearch.catalog.learned import LearnedModels
from reidsearch.catalog.log import SearchLog
from reidsearch.catalog.records import (
    CalibrationRecord,
    Candidate,
    EmbeddingRecord,
    EncoderRecord,
    ImageCount,
    ImageRecord,
    IngestRun,
    LoggedSearch,
    State,
)
from reidsearch.catalog.runs import IngestRuns
from reidsearch.catalog.settings import Setting
from reidsearch.catalog.tables import dataset, embedding, encoder
from reidsearch.errors import CatalogError, CatalogLocked, UsageError

__all__ = [
    "CalibrationRecord",
    "Candidate",
    "Catalog",
    "EmbeddingRecord",
    "EncoderRecord",
    "ImageCount",
    "ImageRecord",
    "IngestRun",
    "LoggedSearch",
    "State",
    "StoredImages",
]


class Catalog(TableGroup):
    """The catalog behind an engine whose schema is current (see ``schema.open_catalog``).

    Of data sets, encoders and the gallery as a whole it knows itself; of all else its parts do.
    """

    def __init__(self, engine: Engine, *, variables: int = VARIABLES) -> None:
        super().__init__(engine, variables=variables)
        self.images = Images(engine, variables=variables)
        self.embeddings = Embeddings(engine, variables=variables)
        self.runs = IngestRuns(engine, variables=variables)
        self.learned = LearnedModels(engine, variables=variables)
        self.log = SearchLog(engine, variables=variables)

    def close(self) -> None:
        self.engine.dispose()

    @property
    def key(self) -> str:
        """Names this catalog among others that share a Qdrant server."""
        with self._reading() as db:
            return str(settings.read(db, Setting.KEY))

    @property
    def store(self) -> str | None:
        """The address of the vectors as ``record_store`` noted it; None where it never did."""
        with self._reading() as db:
            return settings.read(db, Setting.STORE)

    def record_store(self, address: str) -> None:
        """Note where the vectors are: an address without secrets."""
        with self._writing() as db:
            settings.write(db, Setting.STORE, address)

    @property
    def home(self) -> str | None:
        """What ``record_home`` noted last; None where it never did."""
        with self._reading() as db:
            return settings.read(db, Setting.HOME)

    def record_home(self, home: str) -> None:
        """Note where this catalog lives, by a text of the caller's that names machine and folder:
        where it reads otherwise later, the catalog is a copy or has moved."""
        with self._writing() as db:
            settings.write(db, Setting.HOME, home)

    def become_another(self) -> None:
        """Make this copy of a catalog one of its own: with a new key, and nothing noted of where
        the original and its vectors are.

        Vectors are found by the key, so that those of the original are not this one's any more.
        """
        with self._writing() as db:
            settings.write(db, Setting.KEY, secrets.token_hex(4))
            settings.remove(db, Setting.STORE, Setting.HOME)

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
                        hint="Give this one a name of its own with {name}.",
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

    def encoders(self) -> list[EncoderRecord]:
        """All encoders, the one with the most indexed images first."""
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
            return [EncoderRecord(**row._mapping) for row in db.execute(query)]

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
                hint="Restore a backup of it, or choose another {data_dir} and ingest again.",
            )

    @property
    def compaction_owed(self) -> bool:
        """Whether bytes of deleted images are still to be removed from both stores' files."""
        with self._reading() as db:
            return settings.read(db, Setting.COMPACTION) is not None

    def compact(self) -> None:
        """Rewrite the file without what was deleted, its log included; then no compaction is owed.

        Raises CatalogLocked where another process reads the catalog for too long.
        """
        with closing(self.engine.raw_connection()) as raw:
            raw.execute("VACUUM")
        self._truncate_log()
        with self._writing() as db:
            settings.remove(db, Setting.COMPACTION)
        self._truncate_log()

    def _truncate_log(self) -> None:
        with closing(self.engine.raw_connection()) as raw:
            (busy, *_) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise CatalogLocked(
                "another process reads the catalog, so that its old log cannot be removed",
                hint="Wait for it to end, and run {same_call} again.",
            )
