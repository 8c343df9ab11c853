"""Keep current what depends on the stored images, whoever took them in."""

from collections.abc import Sequence
from dataclasses import dataclass

from reidsearch.catalog.records import ImageRecord
from reidsearch.forgetting import removal, selection
from reidsearch.learning import calibrate, expand, neighbours
from reidsearch.pushing import add
from reidsearch.session import Session
from reidsearch.vectors.collection import Collection


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What was done: the number of images that transit times and thresholds were learned anew from,
    None where they were not; of images ``removed``; of ``expanded`` vectors written. Of ``left_to``
    other processes that take images in, the last one to end does all but the removing."""

    calibrated: int | None
    removed: int
    expanded: int
    left_to: int = 0


def keep_current(session: Session) -> Upkeep:
    """Bring everything up to date, take in the pushed crops that a kill left pending, and forget
    what is older than may be kept. Raises as ``Session.collection``, ``Session.changing`` and
    ``forget.remove`` do."""
    with session.changing():
        add.resume(session)
        return bring_up_to_date(
            session, session.collection(), learn=True, gone=selection.expired(session)
        )


def bring_up_to_date(
    session: Session, collection: Collection, *, learn: bool, gone: Sequence[ImageRecord]
) -> Upkeep:
    """Learn anew where the gallery has changed enough, and ``learn`` says that it may have; remove
    what is ``gone``; make neighbours and expanded vectors those of what is left; let searches be
    fast among it. Only while ``changing``."""
    others = session.catalog.others()
    if others:
        return Upkeep(None, len(removal.remove(session, gone).images), 0, others)
    asked_for = session.catalog.learned.splits_with_neighbours(collection.encoder_id)
    learned = calibrate.keep_current(collection) if learn else None
    removed = len(removal.remove(session, gone).images)
    for split in asked_for:
        neighbours.keep_current(collection, split)
    expanded = expand.keep_current(collection)
    collection.store.optimise()
    return Upkeep(
        calibrated=learned.images if learned else None, removed=removed, expanded=expanded
    )
