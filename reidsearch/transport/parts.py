"""A part of a gallery that is moved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reidsearch.catalog.records import Part
from reidsearch.errors import CatalogLocked
from reidsearch.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedPart:
    """A part that is in another place now: ``counts`` of what is there, by its name."""

    part: Part
    source: str
    target: str
    counts: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of so many (``of``) vectors or rows of a ``part``; of rows nobody knows how many."""

    part: Part
    done: int
    of: int | None = None


OnProgress = Callable[[Progress], None]


def require_alone(session: Session) -> None:
    """Raise CatalogLocked where other processes take images in."""
    others = session.catalog.others()
    if others:
        raise CatalogLocked(
            f"{others} other processes take images into the gallery in {session.place}",
            hint="Wait until they have ended, and run {same_call} again.",
        )
