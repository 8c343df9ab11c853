"""What is said below a picture: whom it shows, where, when, and which file it is."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch import times
from reidsearch.ranking.clock import FRAMES, SECONDS, in_words
from reidsearch.types import DISTRACTOR, JUNK
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.search.answer import Answer, Asked, Hit
    from reidsearch.search.stays import Stay
    from reidsearch.search.trace import Trace


@dataclass(frozen=True, slots=True)
class Caption:
    """The words of the first line, in bold and apart from each other, and the lines below it."""

    head: tuple[str, ...]
    lines: tuple[str, ...]

    def said(self, meaning: str | None) -> str:
        """All of it in one sentence, for who cannot see it; ``meaning`` is its frame's."""
        return ", ".join(filter(None, (" ".join(self.head), *self.lines, meaning)))


def of_asked(kind: str, one: "Asked") -> Caption:
    """A picture that was searched with."""
    return _caption((kind,), about(one.identity, one.camera), file_name(one.query))


def question(given: "Answer | Trace") -> str:
    """What was asked with, by the first picture's name."""
    more = f" and {len(given.more)} more" if given.more else ""
    return f"{file_name(given.query)}{more}"


def of_hits(answer: "Answer") -> list[Caption]:
    """Of each hit; by stay, of the whole stay that it is the best of."""
    if answer.stays is None:
        return [of_hit(hit, answer.zone) for hit in answer.hits]
    return [
        of_stay(number, stay, answer.unit, answer.zone)
        for number, stay in enumerate(answer.stays, start=1)
    ]


def of_hit(hit: "Hit", zone: times.Zone) -> Caption:
    """A hit by its rank and score."""
    return _caption(
        (f"{hit.rank}", f"{hit.score:.3f}"),
        about(hit.identity, hit.camera),
        *moment(hit.timestamp, zone),
        file_name(hit.path),
    )


def of_stay(
    number: int,
    stay: "Stay",
    unit: str | None,
    zone: times.Zone,
    *,
    gap: str = "",
    lane: bool = False,
) -> Caption:
    """A stay, by the score of its best hit; ``gap`` is how long after the last one it began, and in
    a camera's ``lane`` the camera need not be told."""
    best = stay.hits[0]
    return _caption(
        (f"{number}", f"{best.score:.3f}"),
        about(best.identity, None if lane else stay.camera),
        counted(len(stay.hits), "crop"),
        *_span(stay, unit, zone),
        gap,
        file_name(best.path),
    )


def file_name(path: str) -> str:
    """What a picture is called without its folders."""
    return Path(path).name or path


def about(identity: int | str | None, camera: int | str | None) -> str:
    """Whom and where a picture shows."""
    return "  ".join(filter(None, (who(identity), where(camera))))


def who(identity: int | str | None) -> str:
    """Whom a picture shows; empty where that is not known."""
    if isinstance(identity, str):
        return identity
    return {None: "", JUNK: "junk", DISTRACTOR: "distractor"}.get(identity, f"id {identity}")


def where(camera: int | str | None) -> str:
    """Where it was taken; empty where that is not known."""
    if camera is None:
        return ""
    return camera if isinstance(camera, str) else f"cam {camera}"


def moment(seconds: float | None, zone: times.Zone) -> tuple[str, ...]:
    """Date and time of day, each short enough for a thumbnail's width; none where not known."""
    return () if seconds is None else tuple(times.show(seconds, zone).split(" "))


def ends(stay: "Stay", unit: str | None, zone: times.Zone) -> tuple[str, str]:
    """From when to when a stay was: date and time, or frames as the files' names count them, from 0
    in each sequence (the clock goes on from sequence to sequence)."""
    if unit == FRAMES:
        frames = [hit.frame for hit in stay.hits if hit.frame is not None]
        return (f"frame {min(frames)}", f"frame {max(frames)}") if frames else ("", "")
    return in_words(stay.start, unit, zone), in_words(stay.end, unit, zone)


def later(first: str, last: str) -> str:
    """The later of two times, without the date or the word that both have; nothing where it is the
    first."""
    if last == first:
        return ""
    start, _, rest = last.partition(" ")
    return rest if first.startswith(f"{start} ") else last


def lasting(time: float, unit: str | None) -> str:
    """How long something took, in two units at most: ``13 s``, ``5 h 2 min``; or in frames."""
    if unit != SECONDS:
        return counted(round(time), "frame")
    whole = round(time)
    if whole < 60:
        return f"{whole} s"
    steps = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
    for size, name, smaller, below in steps:
        if whole >= size:
            rest = math.floor(whole % size / smaller)
            return f"{whole // size:,} {name}" + (f" {rest} {below}" if rest else "")
    raise AssertionError(whole)


def _span(stay: "Stay", unit: str | None, zone: times.Zone) -> tuple[str, ...]:
    """From when to when, in lines short enough for a thumbnail's width."""
    first, last = ends(stay, unit, zone)
    if unit != SECONDS:
        rest = later(first, last)
        return (f"{first}-{rest}" if rest else first,)
    if stay.start is None or stay.end is None:
        return ()
    (date, began), (end_date, ended) = first.split(" "), last.split(" ")
    if date != end_date:
        return date, f"{began} -", end_date, ended
    return date, began if began == ended else f"{_hour(began)}-{_hour(ended)}"


def _hour(clock: str) -> str:
    """A time of day without its offset from UTC."""
    return clock[:8]


def _caption(head: tuple[str, ...], *lines: str) -> Caption:
    return Caption(head, tuple(filter(None, lines)))
