"""Move a gallery to other places: its vectors between the data dir and Qdrant servers, its catalog
between a file and PostgreSQL servers. Nothing is encoded again.

Each part is copied, and read back and compared, while nobody changes the gallery; then one write to
the catalog makes the copy the gallery's. Until that write the old place is used, and is as it was;
from it on the new one is. Cut short before, it goes on with what is right already; cut short after,
it is done. The old place keeps what it held until it is removed (``forgetting.left``).
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reidsearch import faults
from reidsearch.catalog import Catalog, copying, schema
from reidsearch.catalog.database import Mode
from reidsearch.catalog.following import FILE, whereabouts
from reidsearch.catalog.records import EncoderRecord, Left, Part, Whereabouts
from reidsearch.documents.moving import MovedDocument, moved_document
from reidsearch.environment import machine
from reidsearch.errors import (
    CatalogLocked,
    CopiedGallery,
    EmptyGallery,
    StoreError,
    StoreLocked,
    UsageError,
)
from reidsearch.files import settle
from reidsearch.forgetting import removal
from reidsearch.learning import expand
from reidsearch.session import CATALOG, Session
from reidsearch.settings import CATALOG_SCHEMES, CatalogUrl
from reidsearch.stores import EMBEDDED, VectorStore, address_of, snapshots
from reidsearch.vectors import transfer

ARRIVING = f"{CATALOG}.arriving"
FLOAT = 4  # bytes
BESIDE = 256  # bytes that a store needs for a point besides its vectors, about
RESERVE = 256 << 20  # bytes that are to be free afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a gallery is to be: its ``vectors`` at EMBEDDED or a server's address, its ``catalog``
    at EMBEDDED or a server's URL; None where that part is to stay."""

    vectors: str | None
    catalog: CatalogUrl | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedPart:
    """A part that is in another place now: ``counts`` of what is there, by its name."""

    part: Part
    source: str
    target: str
    counts: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was moved, in that order, and ``left``: the places that still hold what they held."""

    parts: tuple[MovedPart, ...]
    left: tuple[Left, ...]
    seconds: float

    def document(self) -> MovedDocument:
        """As a JSON document."""
        return moved_document(self)


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of so many (``of``) vectors or rows of a ``part``; of rows nobody knows how many."""

    part: Part
    done: int
    of: int | None = None


OnProgress = Callable[[Progress], None]


def places(to: Sequence[str]) -> Places:
    """What these words mean: an http:// or https:// address a Qdrant server, a postgresql:// URL a
    database, EMBEDDED the data dir, for whatever has no place of its own among them.

    Raises UsageError where they mean nothing, or two places for one part; StoreError on an address
    that cannot be one.
    """
    vectors: list[str] = []
    catalogs: list[CatalogUrl] = []
    for word in to:
        if word == EMBEDDED:
            continue
        if urlsplit(word).scheme in CATALOG_SCHEMES:
            schema.address_of(word)
            catalogs.append(CatalogUrl(word))
        else:
            if "@" in word.split("://")[-1].split("/")[0]:
                raise UsageError(
                    "the Qdrant server's address holds a user or a password",
                    hint="Write it without, and put the server's key into "
                    "REIDSEARCH_QDRANT_API_KEY.",
                )
            vectors.append(address_of(word))
    if not to or len(vectors) > 1 or len(catalogs) > 1:
        raise UsageError(
            "it takes a place to move to, and one at most for vectors and for the catalog",
            hint="{to} is the address of a Qdrant server, the URL of a PostgreSQL database, or "
            "embedded: the data dir.",
        )
    rest = EMBEDDED if EMBEDDED in to else None
    return Places(
        vectors=vectors[0] if vectors else rest, catalog=catalogs[0] if catalogs else rest
    )


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
        lambda: None if to.vectors is None else _move_vectors(session, to.vectors, on_progress),
        lambda: None if to.catalog is None else _move_catalog(session, to.catalog, on_progress),
    ]
    if not shared:  # vectors come into a data dir after their catalog
        steps.reverse()
    moved = tuple(part for step in steps if (part := step()) is not None)
    return Moved(
        parts=moved,
        left=session.catalog.residence.left,
        seconds=time.monotonic() - started,
    )


def _move_vectors(session: Session, target: str, on_progress: OnProgress) -> MovedPart | None:
    started = time.monotonic()
    _hold(session)
    with session.changing():
        _require_alone(session)
        source = session.address
        if source == target:
            return None
        removal.remove(session, ())  # what was begun is finished where it was
        encoders = session.catalog.encoders()
        if target == EMBEDDED:
            _require_space(session, encoders)
        counts = {"vectors": 0, "expanded": 0, "written": 0, "anew": 0}
        for encoder, collection in zip(encoders, session.collections(), strict=True):
            with closing(_opened_at(session, target, encoder, from_=collection.store)) as store:
                total = counts["vectors"]
                carried = transfer.carry(
                    collection,
                    collection.store,
                    store,
                    on_progress=lambda done, of, total=total: on_progress(  # type: ignore[misc]
                        Progress(Part.VECTORS, total + done, total + of)
                    ),
                )
                store.optimise()
            counts["vectors"] += carried.vectors
            counts["expanded"] += carried.expanded
            counts["written"] += carried.written
            counts["anew"] += carried.anew
        session.catalog.residence.move_vectors(target, left=source)
        faults.reach("vectors switched")
        session.leave_vectors()
        for one in session.collections():
            expand.keep_current(one)
        session.leave_vectors()
    session.let_others_in()
    del counts["written"]
    return MovedPart(
        part=Part.VECTORS,
        source=source,
        target=target,
        counts=counts,
        seconds=time.monotonic() - started,
    )


def _opened_at(
    session: Session, target: str, encoder: EncoderRecord, *, from_: VectorStore
) -> VectorStore:
    """The store of an encoder's vectors in their new place, with whatever is there by now."""
    if target == EMBEDDED:
        snapshots.unpack(from_, session.vectors.path(encoder.fingerprint))
        return session.vectors.store_at(target, encoder)
    store = session.vectors.store_at(target, encoder)
    try:
        if not session.vectors.owns(store):
            raise CopiedGallery(
                f"{target} holds vectors of another copy of this gallery",
                hint="Remove that collection there, or make the other one a gallery of its own: "
                "{claim_copy}.",
            )
    except BaseException:
        store.close()
        raise
    return store


def _hold(session: Session) -> None:
    """Take the data dir's lock, where vectors are in it. A service that lends them goes on using
    them where they were."""
    try:
        session.hold()
    except StoreLocked as error:
        raise StoreLocked(
            error.message,
            hint="Vectors are moved while nobody uses them: end it, and run {same_call} again.",
        ) from None


def _require_alone(session: Session) -> None:
    others = session.catalog.others()
    if others:
        raise CatalogLocked(
            f"{others} other processes take images into the gallery in {session.place}",
            hint="Wait until they have ended, and run {same_call} again.",
        )


def _require_space(session: Session, encoders: Sequence[EncoderRecord]) -> None:
    """Room for all vectors in the data dir, and for the copy that is optimised."""
    points = sum(one.indexed * (2 * one.dimension * FLOAT + BESIDE) for one in encoders)
    _require_free(session.config.data_dir, 2 * points)


def _require_free(folder: Path, taken: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < taken + RESERVE:
        raise StoreError(
            f"the disk of {folder} has {free / 1e6:.0f} MB free, and the move needs "
            f"{(taken + RESERVE) / 1e6:.0f} MB",
            hint="Free some space. Nothing was changed.",
        )


def _move_catalog(
    session: Session, target: CatalogUrl | str, on_progress: OnProgress
) -> MovedPart | None:
    started = time.monotonic()
    if isinstance(target, CatalogUrl):
        if session.shared and schema.address_of(target.secret) == session.catalog.database.address:
            return None
        session.remember(target)
    elif not session.shared:
        return None
    with session.changing():
        _require_alone(session)
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
    _delete(new)
    return schema.open_catalog(new)


def _put_in_place(session: Session) -> None:
    """Give the new file the catalog's name; a log of the old one must not be taken for its own."""
    file = _file(session)
    if file.exists():
        with closing(schema.open_catalog(file)) as old:
            old.database.truncate_log()
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    settle(file.with_name(ARRIVING), file)


def _delete(file: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
