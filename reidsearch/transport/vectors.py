"""Vectors, moved between the data dir and Qdrant servers."""

import shutil
import time
from collections.abc import Sequence
from contextlib import closing

from reidsearch import faults
from reidsearch.catalog.records import EncoderRecord, Part
from reidsearch.errors import CopiedGallery, StoreError, StoreLocked
from reidsearch.forgetting import removal
from reidsearch.learning import expand
from reidsearch.session import Session
from reidsearch.stores import EMBEDDED, VectorStore, snapshots
from reidsearch.transport.parts import MovedPart, OnProgress, Progress, require_alone
from reidsearch.vectors import transfer

FLOAT = 4  # bytes
BESIDE = 256  # bytes that a store needs for a point besides its vectors, about
RESERVE = 256 << 20  # bytes that are to be free afterwards


def move_vectors(session: Session, target: str, on_progress: OnProgress) -> MovedPart | None:
    """Move them to EMBEDDED or a server's address; None where they are there. Raises as ``move``
    does."""
    started = time.monotonic()
    _hold(session)
    with session.changing():
        require_alone(session)
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


def _require_space(session: Session, encoders: Sequence[EncoderRecord]) -> None:
    """Room for all vectors in the data dir, and for the copy that is optimised."""
    points = sum(one.indexed * (2 * one.dimension * FLOAT + BESIDE) for one in encoders)
    folder, taken = session.config.data_dir, 2 * points + RESERVE
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < taken:
        raise StoreError(
            f"the disk of {folder} has {free / 1e6:.0f} MB free, and the move needs "
            f"{taken / 1e6:.0f} MB",
            hint="Free some space. Nothing was changed.",
        )
