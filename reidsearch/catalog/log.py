"""Who searched for whom."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.sqlite import insert

from reidsearch.catalog.database import TableGroup, batches
from reidsearch.catalog.tables import query_log


class Log(TableGroup):
    """Rows of ``query_log``."""

    def add(self, **values: Any) -> None:
        """Record one search; the values are those of ``query_log``."""
        with self._writing() as db:
            db.execute(insert(query_log).values(values))

    def entries(self, *, since: float = 0.0) -> list[Row[Any]]:
        """All searches from that time on (seconds since 1970), the oldest first."""
        query = select(query_log).where(query_log.c.time >= since).order_by(query_log.c.id)
        with self._reading() as db:
            return list(db.execute(query))

    def delete_pictures(self, digests: Sequence[str]) -> None:
        """Delete the kept pictures of probes with one of these SHA-256."""
        with self._writing() as db:
            for some in batches(digests):
                gone = update(query_log).where(query_log.c.probe_sha256.in_(some))
                db.execute(gone.values(picture=None))
