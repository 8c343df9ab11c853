"""A catalog, moved between a file and PostgreSQL servers."""

import time
from contextlib import ExitStack, closing
from pathlib import Path

from reidsearch import faults
from reidsearch.catalog import Catalog, copying, schema, sqlite
from reidsearch.catalog.database import Mode
from reidsearch.catalog.following import FILE, whereabouts
from reidsearch.catalog.records import Part, Whereabouts
from reidsearch.environment import machine
from reidsearch.errors import UsageError
from reidsearch.files import settle
from reidsearch.session import CATALOG, Session
from reidsearch.settings import CatalogUrl
from reidsearch.stores import EMBEDDED
from reidsearch.transport.parts import MovedPart, OnProgress, Progress, require_alone

ARRIVING = f"{CATALOG}.arriving"


def move_catalog(
    session: Session, target: CatalogUrl | str, on_progress: OnProgress
) -> MovedPart | None:
    """Move it to EMBEDDED or a server's URL; None where it is there. Raises as ``move`` does."""
    started = time.monotonic()
    if isinstance(target, CatalogUrl):
        if session.shared and schema.address_of(target.secret) == session.catalog.database.address:
            return None
        session.remember(target)
    elif not session.shared:
        return None
    with session.changing():
        require_alone(session)
        session.collections()  # which are claimed in the name of this catalog, before it goes
        source = session.catalog
        done = 0

        def tell(rows: int) -> None:
            nonlocal done
            done += rows
            on_progress(Progress(Part.CATALOG, done))

        here = whereabouts(source)
        with ExitStack() as stack:
            if isinstance(target, CatalogUrl):
                there = stack.enter_context(
                    closing(schema.open_shared(target.secret, purpose="move"))
                )
                stack.enter_context(there.database.held(Mode.EXCLUSIVE))
                _require_ours(there, source.key)
                place = whereabouts(there)
            else:
                there = stack.enter_context(closing(_new_file(session, source.key)))
                home = there.database.identity()  # which a file keeps under another name
                place = Whereabouts(address=f"{FILE}{_file(session).absolute()}", home=home)
            counts = copying.copy(
                source.database,
                there.database,
                from_=here,
                to=place,
                left=frozenset(source.residence.left),
                machine=machine(),
                on_progress=tell,
            )
            there.database.truncate_log()
        if target == EMBEDDED:
            _put_in_place(session)
        faults.reach("catalog in place")
        source.residence.leave_for(place)
        faults.reach("catalog switched")
    session.follow()
    return MovedPart(
        part=Part.CATALOG,
        source=here.address,
        target=place.address,
        counts=counts,
        seconds=time.monotonic() - started,
    )


def _require_ours(there: Catalog, key: str) -> None:
    """Raise UsageError where a database holds another gallery's catalog, or one that is in use."""
    if copying.is_empty(there.database):
        return
    ours = there.key == key
    if ours and (there.residence.moved is not None or there.residence.arriving is not None):
        return
    whose = "a copy of this gallery's" if ours else "another gallery's"
    raise UsageError(
        f"{there.database.address} holds {whose} catalog",
        hint="Make a database of its own for this gallery: createdb.",
    )


def _file(session: Session) -> Path:
    return session.config.data_dir / CATALOG


def _new_file(session: Session, key: str) -> Catalog:
    """An empty catalog beside the one that the data dir may have, which tells of a move."""
    file = _file(session)
    if file.exists():
        with closing(schema.open_catalog(file)) as known:
            _require_ours(known, key)
    new = file.with_name(ARRIVING)
    sqlite.remove(new)
    return schema.open_catalog(new)


def _put_in_place(session: Session) -> None:
    """Give the new file the catalog's name; a log of the old one must not be taken for its own."""
    file = _file(session)
    if file.exists():
        with closing(schema.open_catalog(file)) as old:
            old.database.truncate_log()
    sqlite.remove_beside(file)
    settle(file.with_name(ARRIVING), file)
