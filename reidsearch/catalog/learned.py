"""What was learned from stored images: a calibration for each encoder, and the neighbours of each
split's images."""

import time

from sqlalchemy import and_, delete, insert, select

from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.records import CalibrationRecord
from reidsearch.catalog.tables import calibration, neighbours
from reidsearch.catalog.upserts import upsert
from reidsearch.types import Split


class LearnedModels(TableGroup):
    """Rows of ``calibration`` and ``neighbours``."""

    def calibration(self, encoder_id: int) -> CalibrationRecord | None:
        """What was learned with this encoder."""
        columns = [c for c in calibration.c if c.name not in ("id", "encoder_id")]
        query = select(*columns).where(calibration.c.encoder_id == encoder_id)
        with self._reading() as db:
            row = db.execute(query).first()
        return None if row is None else CalibrationRecord(**row._mapping)

    def save_calibration(
        self,
        encoder_id: int,
        *,
        source: str,
        images: int,
        transit: bytes,
        weight: float,
        cosines: bytes,
        scores: bytes,
        pairing: str | None,
        sample: int,
    ) -> float:
        """Replace what was learned with this encoder (see CalibrationRecord); returns the time of
        doing so, in seconds since 1970 UTC."""
        learned = time.time()
        row = {
            "encoder_id": encoder_id,
            "learned": learned,
            "source": source,
            "images": images,
            "transit": transit,
            "weight": weight,
            "cosines": cosines,
            "scores": scores,
            "pairing": pairing,
            "sample": sample,
        }
        with self._writing() as db:
            db.execute(delete(calibration).where(calibration.c.encoder_id == encoder_id))
            db.execute(insert(calibration).values(row))
        return learned

    def delete_calibration(self, encoder_id: int) -> None:
        """Delete what was learned with this encoder."""
        with self._writing() as db:
            db.execute(delete(calibration).where(calibration.c.encoder_id == encoder_id))

    def neighbours(self, encoder_id: int, split: Split) -> bytes | None:
        """What ``save_neighbours`` stored last."""
        where = and_(neighbours.c.encoder_id == encoder_id, neighbours.c.split == split)
        with self._reading() as db:
            return db.scalar(select(neighbours.c.model).where(where))

    def splits_with_neighbours(self, encoder_id: int) -> list[Split]:
        """Of which splits neighbours are kept."""
        query = select(neighbours.c.split).where(neighbours.c.encoder_id == encoder_id)
        with self._reading() as db:
            return [Split(split) for split in db.scalars(query)]

    def save_neighbours(self, encoder_id: int, split: Split, model: bytes) -> None:
        """Replace the neighbours kept of a split's images."""
        row = {"encoder_id": encoder_id, "split": split, "model": model}
        with self._writing() as db:
            upsert(db, neighbours, [row], key=["encoder_id", "split"], change=["model"])

    def delete_neighbours_of(self, encoder_id: int, split: Split) -> None:
        """Delete the neighbours kept of a split's images."""
        where = and_(neighbours.c.encoder_id == encoder_id, neighbours.c.split == split)
        with self._writing() as db:
            db.execute(delete(neighbours).where(where))

    def delete_neighbours(self) -> None:
        """Delete the neighbours kept of all images."""
        with self._writing() as db:
            db.execute(delete(neighbours))
