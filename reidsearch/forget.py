"""Remove people from the gallery: answers, vectors, rows, what was computed from them, bytes."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reidsearch import calibrate, crops, documents, expand, faults, left, moves
from reidsearch.catalog.records import EncoderRecord, ImageRecord, Left
from reidsearch.collection import Collection
from reidsearch.errors import EmptyGallery, UsageError
from reidsearch.ranking.calibration import Source
from reidsearch.session import Session
from reidsearch.stores import Trouble

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """Which images are meant: those that fit everything given here.

    ``before`` is in seconds since 1970 UTC, and compares with an image's timestamp or, where none
    is known, with the time of its first ingest. The others are names. Raises UsageError where
    nothing is given.
    """

    identity: str | None = None
    images: tuple[Path, ...] = ()
    before: float | None = None
    camera: str | None = None
    dataset: str | None = None
    site: str | None = None

    def __post_init__(self) -> None:
        given = (self.identity, self.before, self.camera, self.dataset)
        if not self.images and all(value is None for value in given):
            raise UsageError(
                "nothing says which images are to be forgotten",
                hint="Give {identity}, {images}, {before}, {of_camera} or {dataset}.",
            )


@dataclass(frozen=True)
class Forgotten:
    """The ``images`` that are gone (their files stay where they are, unless they are the
    gallery's own, of pushed crops) and the number of vectors of
    these. ``compacted`` is False where a server keeps the bytes until it tidies up by itself;
    ``backups`` of the catalog went too. ``left`` are places that the gallery was moved from, which
    do not answer and still hold it. Of a dry run: what would be gone."""

    images: tuple[Path, ...]
    vectors: int = 0
    compacted: bool = True
    backups: int = 0
    left: tuple[Left, ...] = ()

    def document(self) -> documents.ForgottenDocument:
        """As a JSON document."""
        return documents.forgotten(self)


def select(session: Session, selection: Selection) -> list[ImageRecord]:
    """The images that are meant, in path order; may be none.

    Raises UsageError where an identity or camera means one thing at one site and another at the
    next.
    """
    images = session.catalog.images.matching(
        identity=selection.identity,
        camera=selection.camera,
        before=selection.before,
        dataset=selection.dataset,
        site=selection.site,
        paths=selection.images,
    )
    named = selection.identity is not None or selection.camera is not None
    sites = sorted({image.site for image in images})
    if named and len(sites) > 1:
        raise UsageError(
            f"several sites have images of that name: {', '.join(sites)}",
            hint="They are different people and cameras; choose with {site}.",
        )
    return images


def forget(
    session: Session,
    selection: Selection,
    *,
    dry_run: bool = False,
    confirm: Callable[[Sequence[ImageRecord]], None] | None = None,
) -> Forgotten:
    """Remove the selected images whole, for every encoder; with ``dry_run`` only tell which.

    ``confirm`` is shown the images before anything happens, and stops it by raising. What is
    removed then is just these. Raises as ``select`` and ``remove`` do.
    """
    images = select(session, selection)
    paths = tuple(image.file for image in images)
    if dry_run:
        return Forgotten(paths)
    if images and confirm is not None:
        confirm(images)
    return remove(session, images)


def remove(session: Session, images: Sequence[ImageRecord]) -> Forgotten:
    """Remove images whole, for every encoder.

    They leave all answers at once; then their vectors go, their rows, all neighbours, the log's
    pictures and hashes of probes with the same content, and the catalog's backups; what was
    calibrated is learned anew, camera means too, and no expanded vector carries them any more.
    Places that the gallery was moved from lose all they hold. At
    last both stores are rewritten, so that no file of theirs holds a byte of it. Where it is cut
    short, the next call goes on, even one without images. The images' own files are not touched,
    but for those of crops that were pushed, which are the gallery's. Raises StoreLocked,
    CatalogLocked, StoreError.
    """
    with session.changing():
        catalog = session.catalog
        if not images and not catalog.compaction_owed:
            return Forgotten(())
        collections = session.collections()  # first: without a store nothing is to happen
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
    return Forgotten(tuple(image.file for image in images), vectors, compacted, len(backups), still)


def forget_encoder(
    session: Session,
    encoder: str,
    *,
    dry_run: bool = False,
    confirm: Callable[[EncoderRecord, Sequence[ImageRecord]], None] | None = None,
) -> Forgotten:
    """Remove an encoder, given by its name or the beginning of its fingerprint: its vectors with
    their whole collection, where images stand with it, its ingests and what was learned with it.

    Images that only this encoder knows go whole; those of other encoders stay. ``confirm`` is shown
    the encoder and the images that go, and stops it by raising; ``dry_run`` only tells. Where it is
    cut short, the next call goes on, and so does ``remove``. Raises UsageError where no encoder, or
    more than one, is meant, and as ``remove`` does.
    """
    with session.changing():
        catalog = session.catalog
        stored = catalog.encoders()
        found = [one for one in stored if one.name == encoder] or [
            one for one in stored if encoder and one.fingerprint.startswith(encoder.lower())
        ]
        if not found and catalog.compaction_owed and not dry_run:
            return remove(session, ())  # of a call that was cut short
        meant = _the_only(found, encoder, stored)
        images = catalog.images.known_only_to(meant.id)
        forgotten = Forgotten(tuple(image.file for image in images), meant.indexed)
        if dry_run:
            return forgotten
        if confirm is not None:
            confirm(meant, images)
        catalog.embeddings.mark_encoder_deleting(meant.id)
        faults.reach("encoder given up")
        catalog.log.forget_probes([image.sha256 for image in images if image.sha256])
        session.delete_collection(meant)
        catalog.embeddings.delete(meant.id, catalog.embeddings.deleting(meant.id))
        faults.reach("rows of encoder deleted")
        catalog.delete_encoder(meant.id)
        faults.reach("encoder deleted")
        rest = remove(session, ())
        return replace(forgotten, compacted=rest.compacted, backups=rest.backups, left=rest.left)


def _the_only(
    found: Sequence[EncoderRecord], wanted: str, stored: Sequence[EncoderRecord]
) -> EncoderRecord:
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{one.name} ({one.fingerprint[:8]})" for one in found or stored)
    if found:
        raise UsageError(
            f"{wanted!r} stands for several encoders: {listed}",
            hint="Give the beginning of the fingerprint.",
        )
    raise UsageError(
        f"no encoder {wanted!r} is stored",
        hint="Stored: {listed}. Give a name, or the beginning of a fingerprint.",
        listed=listed or "none",
    )


def expired(session: Session) -> list[ImageRecord]:
    """The images that are older than may be kept, by the setting ``retain_days``."""
    oldest = session.config.oldest
    return [] if oldest == -math.inf else select(session, Selection(before=oldest))


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
