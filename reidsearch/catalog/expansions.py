"""Expanded vectors: how they are made, which neighbours each carries, whether all are current.

Whatever changes what they depend on says so in its own transaction (``outdate``), so that a process
that dies anywhere leaves them marked.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.records import ExpandedRecord, ExpansionRecord
from reidsearch.catalog.tables import expanded, expansion
from reidsearch.catalog.upserts import upsert


class Expansions(TableGroup):
    """Rows of ``expansion`` and ``expanded``."""

    def of(self, encoder_id: int) -> ExpansionRecord | None:
        """How an encoder's expanded vectors stand; None where it has none."""
        columns = [c for c in expansion.c if c.name != "encoder_id"]
        query = select(*columns).where(expansion.c.encoder_id == encoder_id)
        with self._reading() as db:
            row = db.execute(query).first()
        return None if row is None else ExpansionRecord(**row._mapping)

    def begin(self, encoder_id: int, form: str, *, means: bytes, cells: bytes | None) -> None:
        """Note that vectors of that form are being made, with these camera means and cells, in
        place of those of any other."""
        query = select(expansion.c.form, expansion.c.generation)
        with self._writing() as db:
            known = db.execute(query.where(expansion.c.encoder_id == encoder_id)).first()
            if known is None or known.form != form:
                _drop(db, encoder_id)
                new = {"encoder_id": encoder_id, "form": form, "current": False}
                new["generation"] = 0 if known is None else known.generation
                db.execute(insert(expansion).values(new))
            mine = update(expansion).where(expansion.c.encoder_id == encoder_id)
            db.execute(mine.values(means=means, cells=cells))
            outdate(db, encoder_id)

    def drop(self, encoder_id: int) -> None:
        """Forget that an encoder has expanded vectors."""
        with self._writing() as db:
            _drop(db, encoder_id)

    def all(self, encoder_id: int) -> list[ExpandedRecord]:
        """All expanded vectors of an encoder."""
        columns = [c for c in expanded.c if c.name != "encoder_id"]
        query = select(*columns).where(expanded.c.encoder_id == encoder_id)
        with self._reading() as db:
            return [ExpandedRecord(**row._mapping) for row in db.execute(query)]

    def checksums(self, encoder_id: int) -> dict[int, int]:
        """id -> the checksum of its expanded vector, of the images that have one as it was last
        made."""
        made = expanded.c.encoder_id == encoder_id, expanded.c.made_of.is_not(None)
        with self._reading() as db:
            query = select(expanded.c.image_id, expanded.c.checksum).where(*made)
            return {row.image_id: row.checksum for row in db.execute(query)}

    def count(self, encoder_id: int) -> int:
        """How many images have a vector that is as it was last made."""
        made = expanded.c.encoder_id == encoder_id, expanded.c.made_of.is_not(None)
        with self._reading() as db:
            return int(db.execute(select(func.count()).where(*made)).scalar_one())

    def finish(
        self, encoder_id: int, changed: Sequence[ExpandedRecord], *, gone: Sequence[int]
    ) -> None:
        """Record the vectors that are stored anew, drop those of images that are ``gone``, and note
        that all are current: in one step, or the next one could not tell what is left to do."""
        with self._writing() as db:
            for some in self._batches(gone):
                mine = expanded.c.encoder_id == encoder_id
                db.execute(delete(expanded).where(mine, expanded.c.image_id.in_(some)))
            rows = [
                {
                    "encoder_id": encoder_id,
                    "image_id": one.image_id,
                    "made_of": one.made_of,
                    "neighbours": one.neighbours,
                    "checksum": one.checksum,
                }
                for one in changed
            ]
            columns = ("made_of", "neighbours", "checksum")
            upsert(db, expanded, rows, key=["encoder_id", "image_id"], change=columns)
            mine = expansion.c.encoder_id == encoder_id
            db.execute(update(expansion).where(mine).values(current=True))

    def save_scores(self, encoder_id: int, *, cosines: bytes, scores: bytes) -> None:
        """Record what scores with expanded vectors mean."""
        mine = update(expansion).where(expansion.c.encoder_id == encoder_id)
        with self._writing() as db:
            db.execute(mine.values(cosines=cosines, scores=scores))

    def outdate(self, encoder_id: int, ids: Sequence[int]) -> None:
        """Note that these vectors are missing or wrong."""
        with self._writing() as db:
            for some in self._batches(ids):
                outdate_images(db, encoder_id, some)
            outdate(db, encoder_id)


def _drop(db: Connection, encoder_id: int) -> None:
    for table in (expanded, expansion):
        db.execute(delete(table).where(table.c.encoder_id == encoder_id))


def outdate(db: Connection, encoder_id: int | None = None) -> None:
    """Expanded vectors, of one encoder or of all, may not be what they would be made now."""
    stale = update(expansion).values(current=False, generation=expansion.c.generation + 1)
    db.execute(stale if encoder_id is None else stale.where(expansion.c.encoder_id == encoder_id))


def outdate_images(db: Connection, encoder_id: int, ids: Sequence[int]) -> None:
    """The expanded vectors of these images, as many as one query takes, are to be made anew,
    whatever they were made of."""
    mine = update(expanded).where(expanded.c.encoder_id == encoder_id, expanded.c.image_id.in_(ids))
    db.execute(mine.values(made_of=None))
