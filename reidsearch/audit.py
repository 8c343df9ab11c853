"""Who searched for whom: every query leaves a line in the catalog.

Searching people is power over them, and whoever answers for a gallery must be able to say how it
was used. Pictures are kept only where the setting asks for them.
"""

import getpass
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from reidsearch import images
from reidsearch.catalog import Catalog
from reidsearch.config import PREFIX, Audit, Config
from reidsearch.errors import ImageError


def record(
    catalog: Catalog,
    config: Config,
    *,
    command: str,
    probe: Path,
    filters: dict[str, Any],
    hits: int,
) -> None:
    """Log one search, unless the setting ``audit`` is off.

    Raises CatalogError where it cannot be written: then no answer is to be shown.
    """
    if config.audit is Audit.OFF:
        return
    try:
        data = images.read_bytes(probe)
    except ImageError:  # it was readable a moment ago, and was searched for
        data = b""
    catalog.log.add(
        time=time.time(),
        operator=operator(),
        command=command,
        probe_sha256=hashlib.sha256(data).hexdigest(),
        filters=json.dumps(filters, sort_keys=True),
        hits=hits,
        picture=data if config.audit is Audit.PICTURES else None,
    )


def operator() -> str:
    """Who is at work: REIDSEARCH_OPERATOR, or the name of the user."""
    named = os.environ.get(PREFIX + "OPERATOR")
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return "unknown"


def entries(catalog: Catalog, *, since: float = 0.0) -> list[dict[str, Any]]:
    """The log from that time on (seconds since 1970 UTC), the oldest first, without pictures."""
    return [
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row.time)),
            "operator": row.operator,
            "command": row.command,
            "probe_sha256": row.probe_sha256,
            "filters": json.loads(row.filters),
            "hits": row.hits,
            "picture": row.picture is not None,
        }
        for row in catalog.log.entries(since=since)
    ]


def save_pictures(catalog: Catalog, folder: Path) -> int:
    """Write the kept pictures of probes to a folder, named by their SHA-256; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {row.probe_sha256: row.picture for row in catalog.log.entries() if row.picture}
    for digest, data in kept.items():
        (folder / digest).write_bytes(data)
    return len(kept)
