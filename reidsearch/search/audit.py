"""Who searched for whom: every search leaves a line in the catalog before it is answered.

Searching people is power over them, and whoever answers for a gallery must be able to say how it
was used. Pictures are kept only where the setting asks for them.
"""

import getpass
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from reidsearch import files
from reidsearch.catalog.records import LoggedPicture, NewSearch, Role
from reidsearch.config import variable
from reidsearch.environment import OPERATOR
from reidsearch.errors import CatalogError
from reidsearch.search.probe import Probe
from reidsearch.session import Session
from reidsearch.settings import Audit

_acting: ContextVar[str | None] = ContextVar("operator", default=None)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One search: when (ISO 8601, UTC), by whom, the SHA-256 of the probe's file (empty where
    that was forgotten), how it was searched for, how many hits there were, and whether a picture
    was kept. ``together`` are the SHA-256 of all pictures of the person, the probe's first;
    ``unlike`` those of pictures that showed somebody else."""

    time: str
    operator: str
    command: str
    probe_sha256: str
    filters: Mapping[str, object]
    hits: int
    picture: bool
    together: tuple[str, ...]
    unlike: tuple[str, ...]

    @property
    def digests(self) -> tuple[str, ...]:
        """The SHA-256 of all its pictures that were not forgotten."""
        return tuple(filter(None, (*self.together, *self.unlike)))


def operator() -> str:
    """Who is at work: whoever is ``acting``, REIDSEARCH_OPERATOR, or the name of the user."""
    named = _acting.get() or os.environ.get(OPERATOR)
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user, as in some containers
        return "unknown"


def require_log(session: Session) -> None:
    """Raise CatalogError where searches are to be logged and the gallery can only be read."""
    if session.config.audit is not Audit.OFF and session.read_only:
        raise CatalogError(
            f"the gallery in {session.config.data_dir} can only be read, and every search is to be "
            "logged in it",
            hint="Let it be written, or search without a log: set audit to off (in the environment "
            f"as {variable('audit')}=off).",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search to be logged: all its pictures, ``probes`` of the person, at least one, and
    ``unlike`` of others, and who searched, by default whoever does when this is made."""

    probes: Sequence[Probe]
    unlike: Sequence[Probe] = ()
    command: str
    filters: Mapping[str, object]
    hits: int
    operator: str = field(default_factory=operator)


def record(session: Session, *searches: Search) -> None:
    """Log searches, unless the setting ``audit`` is off.

    Raises CatalogError where they cannot be written: then no answer is to be given.
    """
    if session.config.audit is not Audit.OFF and searches:
        keep = session.config.audit is Audit.PICTURES
        session.catalog.log.add(*(_as_logged(one, keep=keep) for one in searches))


def _as_logged(search: Search, *, keep: bool) -> NewSearch:
    first, *more = search.probes
    others = [(Role.TOGETHER, one) for one in more] + [(Role.UNLIKE, one) for one in search.unlike]
    return NewSearch(
        time=time.time(),
        operator=search.operator,
        command=search.command,
        probe_sha256=first.sha256,
        filters=search.filters,
        hits=search.hits,
        picture=first.data if keep else None,
        others=[
            LoggedPicture(role=role, sha256=one.sha256, picture=one.data if keep else None)
            for role, one in others
        ],
    )


@contextmanager
def acting(operator: str) -> Iterator[None]:
    """Let searches of this thread, or task, be logged as that operator's, whoever runs the
    process."""
    token = _acting.set(operator)
    try:
        yield
    finally:
        _acting.reset(token)


def entries(session: Session, *, since: float = 0.0) -> list[AuditEntry]:
    """The log from that time on (seconds since 1970 UTC), the oldest first, without pictures."""
    return [
        AuditEntry(
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.time)),
            operator=one.operator,
            command=one.command,
            probe_sha256=one.probe_sha256,
            filters=one.filters,
            hits=one.hits,
            picture=one.has_picture,
            together=(one.probe_sha256, *one.together),
            unlike=one.unlike,
        )
        for one in session.catalog.log.entries(since=since)
    ]


def save_pictures(session: Session, folder: Path) -> int:
    """Write the kept pictures of probes to a folder, named by their SHA-256; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = set()
    for digest, data in session.catalog.log.pictures():
        with files.replacing(folder / digest) as partial:
            partial.write_bytes(data)
        saved.add(digest)
    return len(saved)
