"""Who searched for whom."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import func, insert, select, update

from reidsearch.catalog.among import among
from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.records import LoggedSearch, NewSearch, Role
from reidsearch.catalog.tables import query_log, query_picture

# Where pictures are, and their SHA-256.
_PICTURES = ((query_log, query_log.c.probe_sha256), (query_picture, query_picture.c.sha256))


class SearchLog(TableGroup):
    """Rows of ``query_log`` and ``query_picture``."""

    def add(self, *searches: NewSearch) -> None:
        """Record searches: all of them, with all that belongs to them, or nothing. Raises TypeError
        where filters hold what JSON cannot."""
        rows = [
            {
                "time": one.time,
                "operator": one.operator,
                "command": one.command,
                "probe_sha256": one.probe_sha256,
                "filters": json.dumps(dict(one.filters), sort_keys=True),
                "hits": one.hits,
                "picture": one.picture,
            }
            for one in searches
        ]
        new = insert(query_log).returning(query_log.c.id, sort_by_parameter_order=True)
        with self._writing(once=True) as db:
            others = [
                {"query_id": id, "role": one.role, "sha256": one.sha256, "picture": one.picture}
                for id, search in zip(db.scalars(new, rows), searches, strict=True)
                for one in search.others
            ]
            if others:
                db.execute(insert(query_picture), others)

    def entries(self, *, since: float = 0.0) -> list[LoggedSearch]:
        """All searches from that time on (seconds since 1970 UTC), the oldest first."""
        query = (
            select(
                query_log.c.id,
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
        more = (
            select(
                query_picture.c.query_id,
                query_picture.c.role,
                query_picture.c.sha256,
                query_picture.c.picture.is_not(None).label("has_picture"),
            )
            .join(query_log)
            .where(query_log.c.time >= since)
            .order_by(query_picture.c.id)
        )
        digests: dict[tuple[int, str], list[str]] = defaultdict(list)
        kept = set()
        with self._reading() as db:
            rows = db.execute(query).all()
            for id, role, digest, has_picture in db.execute(more):
                digests[id, role].append(digest)
                if has_picture:
                    kept.add(id)
        return [
            LoggedSearch(
                time=row.time,
                operator=row.operator,
                command=row.command,
                probe_sha256=row.probe_sha256,
                filters=json.loads(row.filters),
                hits=row.hits,
                together=tuple(digests[row.id, Role.TOGETHER]),
                unlike=tuple(digests[row.id, Role.UNLIKE]),
                has_picture=row.has_picture or row.id in kept,
            )
            for row in rows
        ]

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """The kept pictures of probes and their SHA-256, each once, one at a time in memory."""
        given = set()
        with self._reading() as db:
            for table, digest in _PICTURES:
                kept = func.length(table.c.picture) > 0
                first = select(func.min(table.c.id)).where(kept).group_by(digest)
                query = (
                    select(digest.label("sha256"), table.c.picture)
                    .where(table.c.id.in_(first))
                    .order_by(table.c.id)
                    .execution_options(yield_per=1)
                )
                with db.execute(query) as rows:
                    for row in rows:
                        if row.sha256 not in given:
                            given.add(row.sha256)
                            yield row.sha256, row.picture

    def forget_probes(self, digests: Sequence[str]) -> None:
        """Of searches with a picture that has one of these SHA-256, keep who searched when and how:
        the picture goes, and the hash becomes empty."""
        with self._writing() as db:
            for table, digest in _PICTURES:
                gone = update(table).where(among(digest, digests))
                db.execute(gone.values({table.c.picture: None, digest: ""}))
