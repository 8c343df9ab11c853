"""Remove people from the gallery: answers, vectors, rows, what was computed from them, bytes."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reidsearch import faults
from reidsearch.catalog.records import EncoderRecord, ImageRecord, Left
from reidsearch.documents.forgetting import ForgottenDocument, forgotten_document
from reidsearch.environment import machine
from reidsearch.errors import EmptyGallery, UsageError
from reidsearch.forgetting import left
from reidsearch.learning import calibrate, expand
from reidsearch.pushing import aside, crops, waiting
from reidsearch.pushing.waiting import Waiting
from reidsearch.ranking.calibration import Source
from reidsearch.session import Session
from reidsearch.stores import Trouble
from reidsearch.vectors import moves
from reidsearch.vectors.collection import Collection

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """Which images are meant: those that fit everything given here.

    ``before`` is in seconds since 1970 UTC, and compares with an image's timestamp or, where none
    is known, with the time of its first ingest (of a crop that waits, with when it came). The
    others are names. Raises UsageError where nothing is given.
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

    def fits(self, image: ImageRecord) -> bool:
        """Whether an image that is not in the catalog is meant, as ``Images.matching`` says of one
        that is."""
        named = (
            (self.identity, image.identity),
            (self.camera, image.camera),
            (self.dataset, image.dataset),
            (self.site, image.site),
        )
        if any(wanted not in (None, name) for wanted, name in named):
            return False
        if self.before is not None:
            then = image.added if image.timestamp is None else image.timestamp
            if then is None or not then < self.before:
                return False
        if not self.images or image.path in map(str, self.images):
            return True
        return image.file in (path.absolute() for path in self.images)


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


def select(session: Session, selection: Selection) -> list[ImageRecord]:
    """The images that are meant, in path order; may be none."""
    return session.catalog.images.matching(
        identity=selection.identity,
        camera=selection.camera,
        before=selection.before,
        dataset=selection.dataset,
        site=selection.site,
        paths=selection.images,
    )


def _require_one_site(selection: Selection, images: Sequence[ImageRecord]) -> None:
    named = selection.identity is not None or selection.camera is not None
    sites = sorted({image.site for image in images})
    if named and len(sites) > 1:
        raise UsageError(
            f"several sites have images of that name: {', '.join(sites)}",
            hint="They are different people and cameras; choose with {site}.",
        )


def forget(
    session: Session,
    selection: Selection,
    *,
    dry_run: bool = False,
    confirm: Callable[[Sequence[ImageRecord]], None] | None = None,
) -> Forgotten:
    """Remove the selected images whole, for every encoder, and pushed crops that wait to be such;
    with ``dry_run`` only tell which.

    ``confirm`` is shown all of them before anything happens, and stops it by raising. What is
    removed then is just these, also where what waited was stored meanwhile. Raises UsageError where
    an identity or camera means one thing at one site and another at the next, and as ``remove`` and
    ``waiting.all`` do.
    """
    pushed = waiting.all(session)  # first: what is stored meanwhile is among the images
    images = select(session, selection)
    meant = _meant(pushed, selection, images)
    future = [one.image for one in meant if one.image is not None]
    _require_one_site(selection, [*images, *future])
    if dry_run:
        return Forgotten(tuple(image.file for image in images), waiting=len(future))
    if confirm is not None and (images or future):
        confirm([*images, *future])
    with session.changing():
        done = remove(session, images + _stored_by_now(session, selection, images, future), meant)
        if session.shared:  # files here, of images that another machine has forgotten
            crops.sweep(session)
    _tell_of_other_machines(session, selection)
    return done


def _stored_by_now(
    session: Session,
    selection: Selection,
    images: Sequence[ImageRecord],
    future: Sequence[ImageRecord],
) -> list[ImageRecord]:
    """The images that crops have become which waited when the ``images`` were looked for; not those
    that are another picture of somebody else by now."""
    known = {image.id for image in images}
    waited = {(image.id, image.sha256) for image in future if image.id not in known}
    found = session.catalog.images.of(sorted({id for id, _ in waited}))
    return [one for one in found if selection.fits(one) or (one.id, one.sha256) in waited]


def _meant(
    pushed: Sequence[Waiting], selection: Selection, images: Sequence[ImageRecord]
) -> list[Waiting]:
    """The crops that wait and are to go: those that fit; those that are pushed again, with the same
    bytes, of what goes, whatever they are told; and damaged ones, of which nobody can say what they
    show, and which will never be stored."""
    fitting = [one.image for one in pushed if one.image is not None and selection.fits(one.image)]
    same = {(image.id, image.sha256) for image in (*images, *fitting)}

    def goes(image: ImageRecord | None) -> bool:
        # A kill left the row of one that is in no store yet, and so has no hash.
        return image is None or not same.isdisjoint(((image.id, image.sha256), (image.id, None)))

    return [one for one in pushed if goes(one.image)]


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


def _tell_of_other_machines(session: Session, selection: Selection) -> None:
    """What crops wait on another machine's disk, only that one can say."""
    others = sorted(
        {
            one.machine
            for one in session.catalog.places.datasets()
            if one.machine not in (None, machine())
            and selection.dataset in (None, one.name)
            and selection.site in (None, one.site)
            and session.catalog.places.dataset_layout(one.id) == crops.LAYOUT
        }
    )
    for name in others:
        log.warning(
            "Pushed crops that wait on %s, and files of those that were stored there, are on its "
            "disk: forget there, too.",
            name,
        )


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
