"""Who searched for whom."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.search.audit import AuditEntry


class AuditDocument(TypedDict):
    """One search: when (ISO 8601, UTC), by whom, for whom, and how. ``together_sha256`` are all
    pictures of the person, the first of which is ``probe_sha256``; ``not_sha256`` are of others.
    What was forgotten is empty."""

    time: str
    operator: str
    command: str
    probe_sha256: str
    filters: dict[str, object]
    hits: int
    picture: bool
    together_sha256: list[str]
    not_sha256: list[str]


def audit_documents(entries: "Sequence[AuditEntry]") -> list[AuditDocument]:
    return [
        {
            "time": entry.time,
            "operator": entry.operator,
            "command": entry.command,
            "probe_sha256": entry.probe_sha256,
            "filters": dict(entry.filters),
            "hits": entry.hits,
            "picture": entry.picture,
            "together_sha256": list(entry.together),
            "not_sha256": list(entry.unlike),
        }
        for entry in entries
    ]
