"""Remove people from the gallery: answers, vectors, rows, what was computed from them, bytes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidsearch import calibrate, faults, gallery, moves
from reidsearch.calibrate import Source
from reidsearch.catalog import Catalog, schema
from reidsearch.config import Config
from reidsearch.errors import EmptyGallery, UsageError
from reidsearch.gallery import Gallery


@dataclass(frozen=True)
class Selection:
    """Which images are meant: those that fit everything given here.

    ``before`` is in seconds since 1970 UTC, and compares with an image's timestamp or, where none
    is known, with the time of its first ingest. ``dataset`` is a name.
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
                hint="Give --identity, --image, --before or --camera.",
            )


@dataclass(frozen=True)
class Forgotten:
    """What is gone: so many ``images`` and ``vectors`` of these. ``compacted`` is False where a
    server keeps the bytes until it tidies up by itself; ``backups`` of the catalog went too."""

    images: int
    vectors: int
    compacted: bool
    backups: int


def select(catalog: Catalog, selection: Selection) -> list[Any]:
    """The rows (as of ``Catalog.images``) that are meant, in path order; may be none.

    Raises UsageError where an identity or camera means one thing in one data set and another in
    the next.
    """
    rows = [row for row in catalog.images.all() if _meant(row, selection)]
    numbered = selection.identity is not None or selection.camera is not None
    datasets = sorted({row.dataset for row in rows})
    if numbered and len(datasets) > 1:
        raise UsageError(
            f"several data sets have images of that number: {', '.join(datasets)}",
            hint="They are different people and cameras; choose with --dataset.",
        )
    return rows


def forget(config: Config, rows: Sequence[Any], *, purpose: str = "forget") -> Forgotten:
    """Remove images (rows as of ``Catalog.images``) whole, for every encoder.

    They leave all answers at once; then their vectors go, their rows, all neighbours, kept pictures
    of the same content and the catalog's backups; what was calibrated is learned anew. At last both
    stores are rewritten, so that no file of theirs holds a byte of it. Where it is cut short, the
    next call goes on, even one without rows. The images' own files are not touched. Raises
    StoreLocked, CatalogLocked, StoreError.
    """
    with gallery.every(config, purpose=purpose) as (catalog, galleries):
        if rows:
            catalog.embeddings.mark_deleting([row.id for row in rows], compact=True)
            faults.reach("deletion recorded")
        elif not catalog.compaction_owed:
            return Forgotten(0, 0, True, 0)
        catalog.log.delete_pictures([row.sha256 for row in rows if row.sha256])
        vectors = sum(moves.finish_deletions(one) for one in galleries)
        catalog.learned.delete_neighbours()
        compacted = True
        for one in galleries:
            _calibrate(one)
            compacted &= one.store.compact()
        backups = schema.backups(config.data_dir / gallery.CATALOG)
        for path in backups:
            path.unlink()
        catalog.compact()
        faults.reach("catalog compacted")
    return Forgotten(len(rows), vectors, compacted, len(backups))


def expired(catalog: Catalog, oldest: float) -> list[Any]:
    """The rows of images from before ``oldest`` (seconds since 1970 UTC), which may be -inf."""
    return [] if oldest == -math.inf else select(catalog, Selection(before=oldest))


def of_dataset(catalog: Catalog, dataset: str, paths: Sequence[str]) -> list[Any]:
    """The rows of these paths of a data set."""
    wanted = set(paths)
    return [row for row in catalog.images.all() if row.dataset == dataset and row.path in wanted]


def _meant(row: Any, selection: Selection) -> bool:
    path = Path(row.root) / row.path
    taken = row.added if row.timestamp is None else row.timestamp
    return (
        (selection.identity is None or row.identity == selection.identity)
        and (selection.camera is None or row.camera == selection.camera)
        and (selection.before is None or taken < selection.before)
        and (selection.dataset is None or row.dataset == selection.dataset)
        and (
            not selection.images
            or any(row.path == str(one) or path == one.absolute() for one in selection.images)
        )
    )


def _calibrate(one: Gallery) -> None:
    """Learn anew without what is gone, or nothing where what is left does not suffice."""
    row = one.catalog.learned.calibration(one.encoder_id)
    if row is None:
        return
    try:
        calibrate.calibrate(one, source=Source(row.source))
    except (EmptyGallery, UsageError):
        one.catalog.learned.delete_calibration(one.encoder_id)
