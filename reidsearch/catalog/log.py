"""Who searched for whom."""

import json
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import func, insert, select, update

from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.records import LoggedSearch
from reidsearch.catalog.tables import query_log


class SearchLog(TableGroup):
    """Rows of ``query_log``."""

    def add(
        self,
        *,
        time: float,
        operator: str,
        command: str,
        probe_sha256: str,
        filters: Mapping[str, object],
        hits: int,
        picture: bytes | None,
    ) -> None:
        """Record one search, with the probe's file as ``picture`` where it is to be kept.

        ``filters`` are written as JSON; raises TypeError where they hold what JSON cannot.
        """
        row = {
            "time": time,
            "operator": operator,
            "command": command,
            "probe_sha256": probe_sha256,
            "filters": json.dumps(dict(filters), sort_keys=True),
            "hits": hits,
            "picture": picture,
        }
        with self._writing() as db:
            db.execute(insert(query_log).values(row))

    def entries(self, *, since: float = 0.0) -> list[LoggedSearch]:
        """All searches from that time on (seconds since 1970 UTC), the oldest first."""
        query = (
            select(
                query_log.c.time,
                query_log.c.operator,
                query_log.c.command,
                query_log.c.probe_sha256,
                query_log.c.filters,
                query_log.c.hits,
                query_log.c.picture.is_not(None).label("has_picture"),
            )
            .where(query_log.c.time >= since)
            .order_by(query_log.c.id)
        )
        with self._reading() as db:
            return [
                LoggedSearch(**{**row._mapping, "filters": json.loads(row.filters)})
                for row in db.execute(query)
            ]

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """The kept pictures of probes and their SHA-256, each once, one at a time in memory."""
        kept = func.length(query_log.c.picture) > 0
        first = select(func.min(query_log.c.id)).where(kept).group_by(query_log.c.probe_sha256)
        query = (
            select(query_log.c.probe_sha256, query_log.c.picture)
            .where(query_log.c.id.in_(first))
            .order_by(query_log.c.id)
            .execution_options(yield_per=1)
        )
        with self._reading() as db:
            for row in db.execute(query):
                yield row.probe_sha256, row.picture

    def forget_probes(self, digests: Sequence[str]) -> None:
        """Of searches whose probe has one of these SHA-256, keep who searched when and how: the
        picture goes, and the hash becomes empty."""
        with self._writing() as db:
            for some in self._batches(digests):
                gone = update(query_log).where(query_log.c.probe_sha256.in_(some))
                db.execute(gone.values(picture=None, probe_sha256=""))
