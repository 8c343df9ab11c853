"""Remove images: from answers, vectors, rows, what was computed from them, bytes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reidsearch import faults
from reidsearch.catalog.records import ImageRecord, Left
from reidsearch.documents.forgetting import ForgottenDocument, forgotten_document
from reidsearch.errors import EmptyGallery, UsageError
from reidsearch.forgetting import left
from reidsearch.learning import calibrate, expand
from reidsearch.pushing import aside, crops
from reidsearch.pushing.waiting import Waiting
from reidsearch.ranking.calibration import Source
from reidsearch.session import Session
from reidsearch.stores import Trouble
from reidsearch.vectors import moves
from reidsearch.vectors.collection import Collection

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Forgotten:
    """The ``images`` that are gone (their files stay where they are, unless they are the
    gallery's own, of pushed crops) and the number of vectors of
    these. ``compacted`` is False where a server keeps the bytes until it tidies up by itself;
    ``backups`` of the catalog went too. ``left`` are places that the gallery was moved from, which
    do not answer and still hold it; ``waiting`` counts pushed crops that were not stored yet. Of a
    dry run: what would be gone."""

    images: tuple[Path, ...]
    vectors: int = 0
    compacted: bool = True
    backups: int = 0
    left: tuple[Left, ...] = ()
    waiting: int = 0

    def document(self) -> ForgottenDocument:
        """As a JSON document."""
        return forgotten_document(self)


def remove(
    session: Session, images: Sequence[ImageRecord], pushed: Sequence[Waiting] = ()
) -> Forgotten:
    """Remove images whole, for every encoder, and crops that were ``pushed`` and wait.

    What waits goes first, so that nothing stores it when the images are gone. These leave all
    answers at once; then their vectors go, their rows, all neighbours, the log's pictures and
    hashes of probes with the same content, and the catalog's backups; what was calibrated is
    learned anew, camera means too, and no expanded vector carries them any more. Places that the
    gallery was moved from lose all they hold. At last both stores are rewritten, so that no file of
    theirs holds a byte of it. Where it is cut short, the next call goes on, even one without
    images. The images' own files are not touched, but for those of crops that were pushed, which
    are the gallery's. Raises StoreLocked, CatalogLocked, StoreError.
    """
    with session.changing():
        catalog = session.catalog
        if not images and not pushed and not catalog.compaction_owed:
            return Forgotten(())
        collections = session.collections()  # first: without a store nothing is to happen
        waited = _remove_waiting(session, pushed)
        if images:
            catalog.embeddings.mark_deleting([image.id for image in images], compact=True)
            faults.reach("deletion recorded")
        catalog.log.forget_probes([image.sha256 for image in images if image.sha256])
        vectors = sum(moves.finish_deletions(one) for one in collections)
        catalog.learned.delete_neighbours()
        compacted = True
        for one in collections:
            _calibrate(one)
            expand.renew(one)
            compacted &= one.store.compact()
            _tell_of_dead_replicas(one)
        crops.sweep(session)
        still = left.remove_within_reach(session)  # what they hold is of what is forgotten, too
        backups = catalog.database.backups()
        for path in backups:
            path.unlink()
        compacted &= catalog.compact()
        faults.reach("catalog compacted")
    return Forgotten(
        tuple(image.file for image in images), vectors, compacted, len(backups), still, waited
    )


def _remove_waiting(session: Session, pushed: Sequence[Waiting]) -> int:
    """Delete crops that wait, and what the log knows of the same pictures; returns how many those
    are that are there still. Only while ``changing``: nobody stores any meanwhile."""
    aside.sweep(session.waiting_folder)
    there = [one for one in pushed if one.file.exists()]
    if there:
        hashes = [one.image.sha256 for one in there if one.image and one.image.sha256]
        session.catalog.embeddings.mark_deleting((), compact=True)
        session.catalog.log.forget_probes(hashes)
    for one in there:
        aside.remove(one.file)
        faults.reach("waiting deleted")
    return sum(one.image is not None for one in there)


def _tell_of_dead_replicas(one: Collection) -> None:
    """What a cluster's node that is away has on its disk cannot be removed now."""
    for ailment in one.store.ailments():
        if ailment.trouble is Trouble.REPLICA:
            log.warning(
                "%s is not in use: what was forgotten leaves it only when its node is back.",
                ailment.what,
            )


def _calibrate(one: Collection) -> None:
    """Learn anew without what is gone, or nothing where what is left does not suffice."""
    row = one.catalog.learned.calibration(one.encoder_id)
    if row is None:
        return
    try:
        calibrate.calibrate(one, source=Source(row.source))
    except (EmptyGallery, UsageError):
        one.catalog.learned.delete_calibration(one.encoder_id)
