"""The catalog: what exists, where it came from, and which vectors are stored.

The catalog is the truth; the vector collection can be rebuilt from it and the images.
"""

import secrets

from sqlalchemy import and_, delete, func, select, update

from reidsearch.catalog import settings
from reidsearch.catalog.database import Database, TableGroup
from reidsearch.catalog.embeddings import Embeddings
from reidsearch.catalog.expansions import Expansions
from reidsearch.catalog.images import Images, StoredImages
from reidsearch.catalog.learned import LearnedModels
from reidsearch.catalog.log import SearchLog
from reidsearch.catalog.places import Places
from reidsearch.catalog.records import (
    CalibrationRecord,
    CameraRecord,
    Candidate,
    DatasetRecord,
    EmbeddingRecord,
    EncoderRecord,
    ExpandedPart,
    ExpansionRecord,
    ImageCount,
    ImageRecord,
    IngestRun,
    LoggedSearch,
    Recorded,
    State,
)
from reidsearch.catalog.residence import Residence
from reidsearch.catalog.runs import IngestRuns
from reidsearch.catalog.settings import Setting
from reidsearch.catalog.tables import (
    calibration,
    embedding,
    encoder,
    expanded,
    expanded_part,
    expansion,
    ingest_run,
    neighbours,
)
from reidsearch.catalog.upserts import insert_new

__all__ = [
    "CalibrationRecord",
    "CameraRecord",
    "Candidate",
    "Catalog",
    "DatasetRecord",
    "EmbeddingRecord",
    "EncoderRecord",
    "ExpandedPart",
    "ExpansionRecord",
    "ImageCount",
    "ImageRecord",
    "IngestRun",
    "LoggedSearch",
    "Recorded",
    "State",
    "StoredImages",
]


class Catalog(TableGroup):
    """The catalog behind an database whose schema is current (see ``schema.open_catalog``).

    Of encoders and the gallery as a whole it knows itself; of all else its parts do.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.places = Places(database)
        self.images = Images(database)
        self.embeddings = Embeddings(database)
        self.runs = IngestRuns(database)
        self.learned = LearnedModels(database)
        self.expansions = Expansions(database)
        self.log = SearchLog(database)
        self.residence = Residence(database)

    def close(self) -> None:
        self.database.close()

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
        with self._writing(once=True) as db:
            settings.write(db, Setting.KEY, secrets.token_hex(4))
            settings.remove(db, Setting.STORE, Setting.HOME)

    def add_encoder(self, *, fingerprint: str, name: str, dimension: int, payloads: int) -> int:
        """The id of the encoder with that fingerprint, made where it is new; then the payloads of
        its vectors are of this form."""
        with self._writing() as db:
            row = {"fingerprint": fingerprint, "name": name, "dimension": dimension}
            insert_new(db, encoder, [{**row, "payloads": payloads}])
            query = select(encoder.c.id).where(encoder.c.fingerprint == fingerprint)
            return int(db.execute(query).scalar_one())

    def payloads(self, encoder_id: int) -> int:
        """Of which form the payloads beside an encoder's vectors are."""
        query = select(encoder.c.payloads).where(encoder.c.id == encoder_id)
        with self._reading() as db:
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
                encoder.c.payloads,
                count.label("indexed"),
            )
            .select_from(encoder.outerjoin(embedding, indexed))
            .group_by(encoder.c.id)
            .order_by(count.desc(), encoder.c.id)
        )
        with self._reading() as db:
            return [EncoderRecord(**row._mapping) for row in db.execute(query)]

    def record_payloads(self, encoder_id: int, form: int) -> None:
        """Note of which form all payloads beside an encoder's vectors are."""
        with self._writing() as db:
            db.execute(update(encoder).where(encoder.c.id == encoder_id).values(payloads=form))

    def has_vectors(self, fingerprint: str) -> bool:
        """Whether any image is indexed with the encoder of that fingerprint."""
        query = (
            select(embedding.c.image_id)
            .select_from(embedding.join(encoder))
            .where(encoder.c.fingerprint == fingerprint, embedding.c.state == State.INDEXED)
            .limit(1)
        )
        with self._reading() as db:
            return db.execute(query).first() is not None

    def with_vectors(self, fingerprint: str) -> EncoderRecord | None:
        """The encoder of that fingerprint, where any image is indexed with it. How many are is not
        counted, which takes seconds for a million."""
        if not self.has_vectors(fingerprint):
            return None
        columns = [c for c in encoder.c if c.name in EncoderRecord.__dataclass_fields__]
        query = select(*columns).where(encoder.c.fingerprint == fingerprint)
        with self._reading() as db:
            row = db.execute(query).one()
        return EncoderRecord(**row._mapping, indexed=0)

    def delete_encoder(self, encoder_id: int) -> None:
        """Delete an encoder that no image stands in any state with, its ingests and all that was
        learned with it."""
        with self._writing() as db:
            for table in (calibration, neighbours, expanded_part, expanded, expansion, ingest_run):
                db.execute(delete(table).where(table.c.encoder_id == encoder_id))
            db.execute(delete(encoder).where(encoder.c.id == encoder_id))

    def encoder_fingerprint(self, encoder_id: int) -> str:
        """The fingerprint of the encoder with that id."""
        query = select(encoder.c.fingerprint).where(encoder.c.id == encoder_id)
        with self._reading() as db:
            return str(db.execute(query).scalar_one())

    def others(self) -> int:
        """How many other processes take images in at this moment."""
        with self._reading() as db:
            return len(self.database.workers(db))

    @property
    def compaction_owed(self) -> bool:
        """Whether bytes of deleted images are still to be removed from both stores' files."""
        with self._reading() as db:
            return settings.read(db, Setting.COMPACTION) is not None

    def compact(self) -> bool:
        """Rewrite the files without what was deleted, their log included; then no compaction is
        owed. False where a server's log keeps it for a while.

        Raises CatalogLocked where another process reads the catalog for too long.
        """
        whole = self.database.compact()
        with self._writing() as db:
            settings.remove(db, Setting.COMPACTION)
        self.database.truncate_log()
        return whole
