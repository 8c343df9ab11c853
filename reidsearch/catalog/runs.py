"""When data sets were ingested, and how that ended."""

import time

from sqlalchemy import func, insert, select, update

from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.records import IngestRun
from reidsearch.catalog.tables import dataset, encoder, ingest_run


class IngestRuns(TableGroup):
    """Rows of ``ingest_run``."""

    def start(self, dataset_id: int, encoder_id: int) -> int:
        """Record that an ingest has begun; returns its id."""
        values = {"dataset_id": dataset_id, "encoder_id": encoder_id, "started": time.time()}
        with self._writing(once=True) as db:
            new = db.execute(insert(ingest_run).values(values))
            return int(new.inserted_primary_key[0])  # type: ignore[index]

    def all_recorded(self, run: int) -> None:
        """Note that all images of the data set are recorded: what is missing is pending now."""
        with self._writing() as db:
            mine = update(ingest_run).where(ingest_run.c.id == run)
            db.execute(mine.values(ingested=0, unchanged=0, failed=0))

    def half_recorded(self, encoder_id: int) -> set[int]:
        """The ids of the data sets whose latest ingest with that encoder was cut short, or goes on,
        before all of their images were recorded."""
        latest = (
            select(func.max(ingest_run.c.id))
            .where(ingest_run.c.encoder_id == encoder_id)
            .group_by(ingest_run.c.dataset_id)
        )
        query = select(ingest_run.c.dataset_id).where(
            ingest_run.c.id.in_(latest),
            ingest_run.c.finished.is_(None),
            ingest_run.c.ingested.is_(None),
        )
        with self._reading() as db:
            return set(db.scalars(query))

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

    def last(self) -> IngestRun | None:
        """The latest ingest."""
        query = (
            select(
                ingest_run.c.id,
                dataset.c.name.label("dataset"),
                encoder.c.fingerprint.label("encoder"),
                ingest_run.c.started,
                ingest_run.c.finished,
                ingest_run.c.ingested,
                ingest_run.c.unchanged,
                ingest_run.c.failed,
            )
            .select_from(ingest_run.join(dataset).join(encoder))
            .order_by(ingest_run.c.id.desc())
            .limit(1)
        )
        with self._reading() as db:
            row = db.execute(query).first()
        return None if row is None else IngestRun(**row._mapping)
