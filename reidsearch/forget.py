"""Remove people from the gallery: answers, vectors, rows, what was computed from them, bytes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reidsearch import calibrate, documents, faults, moves
from reidsearch.catalog import schema
from reidsearch.catalog.records import ImageRecord
from reidsearch.collection import Collection
from reidsearch.errors import EmptyGallery, UsageError
from reidsearch.ranking.calibration import Source
from reidsearch.session import Session


@dataclass(frozen=True)
class Selection:
    """Which images are meant: those that fit everything given here.

    ``before`` is in seconds since 1970 UTC, and compares with an image's timestamp or, where none
    is known, with the time of its first ingest. ``dataset`` is a name. Raises UsageError where
    nothing is given.
    """

    identity: int | None = None
    images: tuple[Path, ...] = ()
    before: float | None = None
    camera: int | None = None
    dataset: str | None = None

    def __post_init__(self) -> None:
        given = (self.identity, self.before, self.camera)
        if not self.images and all(value is None for value in given):
            raise UsageError(
                "nothing says which images are to be forgotten",
                hint="Give {identity}, {images}, {before} or {of_camera}.",
            )


@dataclass(frozen=True)
class Forgotten:
    """The ``images`` that are gone (their files stay where they are) and the number of vectors of
    these. ``compacted`` is False where a server keeps the bytes until it tidies up by itself;
    ``backups`` of the catalog went too. Of a dry run: what would be gone."""

    images: tuple[Path, ...]
    vectors: int = 0
    compacted: bool = True
    backups: int = 0

    def document(self) -> documents.ForgottenDocument:
        """As a JSON document."""
        return documents.forgotten(self)


def select(session: Session, selection: Selection) -> list[ImageRecord]:
    """The images that are meant, in path order; may be none.

    Raises UsageError where an identity or camera means one thing in one data set and another in
    the next.
    """
    images = session.catalog.images.matching(
        identity=selection.identity,
        camera=selection.camera,
        before=selection.before,
        dataset=selection.dataset,
        paths=selection.images,
    )
    numbered = selection.identity is not None or selection.camera is not None
    datasets = sorted({image.dataset for image in images})
    if numbered and len(datasets) > 1:
        raise UsageError(
            f"several data sets have images of that number: {', '.join(datasets)}",
            hint="They are different people and cameras; choose with {dataset}.",
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

    They leave all answers at once; then their vectors go, their rows, all neighbours, kept pictures
    of the same content and the catalog's backups; what was calibrated is learned anew. At last both
    stores are rewritten, so that no file of theirs holds a byte of it. Where it is cut short, the
    next call goes on, even one without images. The images' own files are not touched. Raises
    StoreLocked, CatalogLocked, StoreError.
    """
    with session.changing():
        catalog = session.catalog
        if not images and not catalog.compaction_owed:
            return Forgotten(())
        collections = session.collections()  # first: without a store nothing is to happen
        if images:
            catalog.embeddings.mark_deleting([image.id for image in images], compact=True)
            faults.reach("deletion recorded")
        catalog.log.delete_pictures([image.sha256 for image in images if image.sha256])
        vectors = sum(moves.finish_deletions(one) for one in collections)
        catalog.learned.delete_neighbours()
        compacted = True
        for one in collections:
            _calibrate(one)
            compacted &= one.store.compact()
        backups = schema.backups(session.catalog_file)
        for path in backups:
            path.unlink()
        catalog.compact()
        faults.reach("catalog compacted")
    return Forgotten(tuple(image.file for image in images), vectors, compacted, len(backups))


def expired(session: Session) -> list[ImageRecord]:
    """The images that are older than may be kept, by the setting ``retain_days``."""
    oldest = session.config.oldest
    return [] if oldest == -math.inf else select(session, Selection(before=oldest))


def _calibrate(one: Collection) -> None:
    """Learn anew without what is gone, or nothing where what is left does not suffice."""
    row = one.catalog.learned.calibration(one.encoder_id)
    if row is None:
        return
    try:
        calibrate.calibrate(one, source=Source(row.source))
    except (EmptyGallery, UsageError):
        one.catalog.learned.delete_calibration(one.encoder_id)
