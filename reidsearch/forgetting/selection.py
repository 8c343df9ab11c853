"""Which images are meant to be forgotten."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reidsearch.catalog.records import ImageRecord
from reidsearch.errors import UsageError
from reidsearch.session import Session


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


def require_one_site(selection: Selection, images: Sequence[ImageRecord]) -> None:
    named = selection.identity is not None or selection.camera is not None
    sites = sorted({image.site for image in images})
    if named and len(sites) > 1:
        raise UsageError(
            f"several sites have images of that name: {', '.join(sites)}",
            hint="They are different people and cameras; choose with {site}.",
        )


def expired(session: Session) -> list[ImageRecord]:
    """The images that are older than may be kept, by the setting ``retain_days``."""
    oldest = session.config.oldest
    return [] if oldest == -math.inf else select(session, Selection(before=oldest))
