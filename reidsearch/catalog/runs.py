"""When data sets were ingested, and how that ended."""

import time
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.sqlite import insert

from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.tables import ingest_run


class Runs(TableGroup):
    """Rows of ``ingest_run``."""

    def start(self, dataset_id: int, encoder_id: int) -> int:
        """Record that an ingest has begun; returns its id."""
        values = {"dataset_id": dataset_id, "encoder_id": encoder_id, "started": time.time()}
        with self._writing() as db:
            new = db.execute(insert(ingest_run).values(values))
            return int(new.inserted_primary_key[0])  # type: ignore[index]

    def close_all(self) -> None:
        """Call every ingest ended that was cut short and has since been made good."""
        with self._writing() as db:
            open_runs = update(ingest_run).where(ingest_run.c.finished.is_(None))
            db.execute(open_runs.values(finished=time.time()))

    def finish(self, run: int, *, ingested: int, unchanged: int, failed: int) -> None:
        """Record how an ingest ended."""
        with self._writing() as db:
            db.execute(
                update(ingest_run)
                .where(ingest_run.c.id == run)
                .values(finished=time.time(), ingested=ingested, unchanged=unchanged, failed=failed)
            )

    def last(self) -> Row[Any] | None:
        """The latest ingest: started, finished (None where it was cut short) and its counts."""
        with self._reading() as db:
            return db.execute(select(ingest_run).order_by(ingest_run.c.id.desc())).first()
