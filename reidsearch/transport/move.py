"""Move a gallery to other places: its vectors between the data dir and Qdrant servers, its catalog
between a file and PostgreSQL servers. Nothing is encoded again.

Each part is copied, and read back and compared, while nobody changes the gallery; then one write to
the catalog makes the copy the gallery's. Until that write the old place is used, and is as it was;
from it on the new one is. Cut short before, it goes on with what is right already; cut short after,
it is done. The old place keeps what it held until it is removed (``forgetting.left``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from reidsearch.catalog.records import Left
from reidsearch.documents.moving import MovedDocument, moved_document
from reidsearch.errors import EmptyGallery, UsageError
from reidsearch.session import Session
from reidsearch.stores import EMBEDDED
from reidsearch.transport.catalog import move_catalog
from reidsearch.transport.parts import MovedPart, OnProgress
from reidsearch.transport.places import Places
from reidsearch.transport.vectors import move_vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was moved, in that order, and ``left``: the places that still hold what they held."""

    parts: tuple[MovedPart, ...]
    left: tuple[Left, ...]
    seconds: float

    def document(self) -> MovedDocument:
        """As a JSON document."""
        return moved_document(self)


def move(session: Session, to: Places, *, on_progress: OnProgress = lambda progress: None) -> Moved:
    """Move the gallery to these places; a part that is there already is left alone.

    Raises EmptyGallery where there is nothing to move, UsageError where a place is another
    gallery's, or vectors would be in a data dir and the catalog on a server; StoreLocked and
    CatalogLocked where other processes use the gallery; StoreError and CatalogError where a place
    fails, has too little space, or gives back other than it was given.
    """
    started = time.monotonic()
    if not session.has_catalog() or not session.catalog.encoders():
        raise EmptyGallery(
            f"the gallery in {session.place} is empty",
            hint="Fill it where it is to be: with {qdrant_url} and {catalog_url}.",
        )
    vectors = session.address if to.vectors is None else to.vectors
    shared = session.shared if to.catalog is None else to.catalog != EMBEDDED
    if shared and vectors == EMBEDDED:
        raise UsageError(
            "a catalog on a server is for many machines, and vectors in a data dir are for one",
            hint="Move the vectors to a Qdrant server as well; {to} may be given twice.",
        )
    steps: list[Callable[[], MovedPart | None]] = [
        lambda: None if to.vectors is None else move_vectors(session, to.vectors, on_progress),
        lambda: None if to.catalog is None else move_catalog(session, to.catalog, on_progress),
    ]
    if not shared:  # vectors come into a data dir after their catalog
        steps.reverse()
    moved = tuple(part for step in steps if (part := step()) is not None)
    return Moved(
        parts=moved,
        left=session.catalog.residence.left,
        seconds=time.monotonic() - started,
    )
