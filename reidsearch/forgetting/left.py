"""Places that a gallery was moved from. They hold what they held, until that is removed."""

import shutil
from contextlib import closing
from pathlib import Path

from reidsearch import faults
from reidsearch.catalog import copying, schema
from reidsearch.catalog.database import Mode
from reidsearch.catalog.following import FILE
from reidsearch.catalog.records import Left, Part
from reidsearch.errors import CatalogError, StoreElsewhere, StoreError
from reidsearch.session import CATALOG, Session
from reidsearch.stores import EMBEDDED


def remove(session: Session) -> tuple[Left, ...]:
    """Delete what is in the places that the gallery was moved from; returns these. A catalog there
    stays, without rows, to tell where it has gone.

    Raises StoreError or CatalogError where one does not answer: it is noted still.
    """
    with session.changing():
        places = session.catalog.residence.left
        for one in places:
            _remove(session, one)
    return places


def remove_within_reach(session: Session) -> tuple[Left, ...]:
    """The same, passing over those that do not answer: they are returned."""
    with session.changing():
        for one in session.catalog.residence.left:
            try:
                _remove(session, one)
            except (StoreError, CatalogError):
                continue
        return session.catalog.residence.left


def _remove(session: Session, place: Left) -> None:
    if place.part is Part.VECTORS:
        _remove_vectors(session, place.address)
    else:
        _remove_catalog(session, place.address)
    faults.reach("old place emptied")
    session.catalog.residence.removed(place)


def _remove_vectors(session: Session, address: str) -> None:
    if address == session.address:  # it has come back
        return
    for encoder in session.catalog.encoders():
        if address == EMBEDDED:
            path = session.vectors.path(encoder.fingerprint)
            shutil.rmtree(path, ignore_errors=True)
            if path.exists():
                raise StoreError(f"{path} cannot be removed", hint="Check its permissions.")
            continue
        try:
            store = session.vectors.store_at(address, encoder, make=False)
        except StoreElsewhere:  # nothing is there
            continue
        with closing(store):
            store.delete_collection()


def _remove_catalog(session: Session, address: str) -> None:
    if address.startswith(FILE):
        file = session.config.data_dir / CATALOG
        if Path(address.removeprefix(FILE)) != file.absolute():
            raise CatalogError(
                f"{address.removeprefix(FILE)} is not in this data dir",
                hint="Remove it with the {data_dir} that it is in.",
            )
        found = schema.open_catalog(file) if file.exists() else None
    else:
        found = schema.find_shared(session.url_of(address), purpose="move")
    if found is None:
        return
    with closing(found):
        if found.residence.moved is None or found.key != session.catalog.key:
            return  # another catalog by now
        with found.database.held(Mode.EXCLUSIVE):
            copying.empty(found.database)
            found.database.compact()
        found.database.truncate_log()
        for backup in found.database.backups():
            backup.unlink()
