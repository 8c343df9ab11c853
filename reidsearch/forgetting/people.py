"""Forget people: whoever is meant, stored or waiting to be."""

import logging
from collections.abc import Callable, Sequence

from reidsearch.catalog.records import ImageRecord
from reidsearch.environment import machine
from reidsearch.forgetting.removal import Forgotten, remove
from reidsearch.forgetting.selection import Selection, require_one_site, select
from reidsearch.pushing import crops, waiting
from reidsearch.pushing.waiting import Waiting
from reidsearch.session import Session

log = logging.getLogger(__name__)


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
    require_one_site(selection, [*images, *future])
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
