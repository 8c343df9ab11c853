"""Expanded vectors: how they are made, which neighbours each carries, whether all are current.

Whatever changes what they depend on says so in its own transaction (``outdate``), so that a process
that dies anywhere leaves them marked.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    false,
    func,
    insert,
    select,
    true,
    update,
)

from reidsearch.catalog.among import among
from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.records import ExpandedPart, ExpansionRecord
from reidsearch.catalog.tables import expanded, expanded_part, expansion
from reidsearch.catalog.upserts import upsert
from reidsearch.types import Ids


class Expansions(TableGroup):
    """Rows of ``expansion``, ``expanded`` and ``expanded_part``."""

    def of(self, encoder_id: int) -> ExpansionRecord | None:
        """How an encoder's expanded vectors stand; None where it has none."""
        columns = [c for c in expansion.c if c.name != "encoder_id"]
        query = select(*columns).where(expansion.c.encoder_id == encoder_id)
        with self._reading() as db:
            row = db.execute(query).first()
        return None if row is None else ExpansionRecord(**row._mapping)

    def begin(self, encoder_id: int, form: str, *, means: bytes, cells: bytes | None) -> None:
        """Note that all vectors are being made, in that form, with these camera means and cells,
        in place of any others."""
        query = select(expansion.c.generation).where(expansion.c.encoder_id == encoder_id)
        with self._writing() as db:
            generation = db.scalar(query) or 0
            _drop(db, encoder_id)
            db.execute(
                insert(expansion).values(
                    encoder_id=encoder_id,
                    form=form,
                    current=False,
                    generation=generation + 1,
                    means=means,
                    cells=cells,
                )
            )

    def drop(self, encoder_id: int) -> None:
        """Forget that an encoder has expanded vectors."""
        with self._writing() as db:
            _drop(db, encoder_id)

    def standing(self, encoder_id: int) -> tuple[Ids, Ids]:
        """The ids of all images that have an expanded vector, and of those whose is to be made
        anew, in any order."""
        every = select(expanded.c.image_id).where(expanded.c.encoder_id == encoder_id)
        with self._reading() as db:
            there, due = (
                np.array(db.scalars(query).all(), dtype=np.int64)
                for query in (every, every.where(expanded.c.due == true()))
            )
        return there, due

    def parts(self, encoder_id: int) -> dict[int, bytes]:
        """part -> what is known of its images."""
        columns = expanded_part.c.part, expanded_part.c.images
        query = select(*columns).where(expanded_part.c.encoder_id == encoder_id)
        with self._reading() as db:
            return {row.part: row.images for row in db.execute(query)}

    def copies(self, encoder_id: int, parts: Sequence[int]) -> dict[int, bytes]:
        """part -> the rough copies of its images' vectors, of those of these parts that there
        are."""
        columns = expanded_part.c.part, expanded_part.c.copies
        query = select(*columns).where(
            expanded_part.c.encoder_id == encoder_id, among(expanded_part.c.part, parts)
        )
        with self._reading() as db:
            return {row.part: row.copies for row in db.execute(query)}

    def checksums(self, encoder_id: int) -> dict[int, int]:
        """id -> the checksum of its expanded vector, of the images that have one as it was last
        made."""
        with self._reading() as db:
            query = select(expanded.c.image_id, expanded.c.checksum).where(_made(encoder_id))
            return {row.image_id: row.checksum for row in db.execute(query)}

    def count(self, encoder_id: int) -> int:
        """How many images have a vector that is as it was last made."""
        with self._reading() as db:
            return int(db.execute(select(func.count()).where(_made(encoder_id))).scalar_one())

    def save_parts(self, encoder_id: int, parts: Iterable[ExpandedPart]) -> None:
        """Record parts, in place of those of the same numbers, before their vectors count as
        made."""
        with self._writing() as db:
            _save_parts(db, encoder_id, parts)

    def finish(
        self,
        encoder_id: int,
        changed: Mapping[int, int],
        *,
        gone: Sequence[int],
        parts: Sequence[ExpandedPart] = (),
    ) -> None:
        """Record the vectors that are stored anew (id -> checksum) and parts, drop those of images
        that are ``gone``, and note that all are current: in one step, or the next one could not
        tell what is left to do."""
        with self._writing() as db:
            if gone:
                mine = expanded.c.encoder_id == encoder_id
                db.execute(delete(expanded).where(mine, among(expanded.c.image_id, gone)))
            rows = [
                {"encoder_id": encoder_id, "image_id": id, "checksum": checksum, "due": False}
                for id, checksum in changed.items()
            ]
            columns = ("checksum", "due")
            upsert(db, expanded, rows, key=["encoder_id", "image_id"], change=columns)
            _save_parts(db, encoder_id, parts)
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
            if ids:
                outdate_images(db, encoder_id, ids)
            outdate(db, encoder_id)


def _made(encoder_id: int) -> ColumnElement[bool]:
    return and_(expanded.c.encoder_id == encoder_id, expanded.c.due == false())


def _save_parts(db: Connection, encoder_id: int, parts: Iterable[ExpandedPart]) -> None:
    for one in parts:
        mine = and_(expanded_part.c.encoder_id == encoder_id, expanded_part.c.part == one.part)
        if not one.images:
            db.execute(delete(expanded_part).where(mine))
        elif one.copies is None:
            db.execute(update(expanded_part).where(mine).values(images=one.images))
        else:
            row = {
                "encoder_id": encoder_id,
                "part": one.part,
                "images": one.images,
                "copies": one.copies,
            }
            key = ["encoder_id", "part"]
            upsert(db, expanded_part, [row], key=key, change=["images", "copies"])


def _drop(db: Connection, encoder_id: int) -> None:
    for table in (expanded_part, expanded, expansion):
        db.execute(delete(table).where(table.c.encoder_id == encoder_id))


def outdate(db: Connection, encoder_id: int | None = None) -> None:
    """Expanded vectors, of one encoder or of all, may not be what they would be made now."""
    stale = update(expansion).values(current=False, generation=expansion.c.generation + 1)
    db.execute(stale if encoder_id is None else stale.where(expansion.c.encoder_id == encoder_id))


def outdate_images(db: Connection, encoder_id: int, ids: Sequence[int]) -> None:
    """The expanded vectors of these images are to be made anew."""
    _outdate(db, encoder_id, among(expanded.c.image_id, ids))


def outdate_for_all(db: Connection, ids: Sequence[int] | Select[tuple[int]]) -> None:
    """The same of all encoders, where there are expanded vectors; a query may say which images."""
    image_id = expanded.c.image_id
    these = image_id.in_(ids) if isinstance(ids, Select) else among(image_id, ids)
    for encoder_id in db.scalars(select(expansion.c.encoder_id)).all():
        _outdate(db, encoder_id, these)


def _outdate(db: Connection, encoder_id: int, which: ColumnElement[bool]) -> None:
    db.execute(update(expanded).where(expanded.c.encoder_id == encoder_id, which).values(due=True))
