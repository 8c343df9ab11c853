"""A trace by cameras: each one's stays, their places on one time axis, and their words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reidsearch import names
from reidsearch.ranking.clock import FRAMES
from reidsearch.views import captions, timeline, verdicts
from reidsearch.views.captions import Caption
from reidsearch.views.made import Facts, Made
from reidsearch.views.timeline import Axis
from reidsearch.words import counted, one_in

if TYPE_CHECKING:
    from reidsearch.search.stays import Stay
    from reidsearch.search.trace import Trace

NEAREST = 0.025  # of the width: marks that are nearer to each other have one number


@dataclass(frozen=True)
class Mark:
    """The stay of that ``number``, in time order: its verdict, its place on the axis, shares of the
    width or None without a time, and its words."""

    number: int
    stay: "Stay"
    kind: str
    left: float | None
    right: float | None
    caption: Caption


@dataclass(frozen=True)
class Track:
    """The stays at one camera. ``numbers`` stand above their marks: where, and which."""

    name: str
    marks: list[Mark]
    numbers: list[tuple[float, str]]


def of(trace: "Trace") -> tuple[Axis | None, list[Track]]:
    """The time axis of a trace, None where no time is known, and a track for each camera."""
    known = [(s.start, s.end) for s in trace.stays if s.start is not None and s.end is not None]
    axis = Axis.of([time for ends in known for time in ends], trace.unit, trace.zone)
    marks = _marks(trace, axis)
    lanes = sorted({_lane(mark.stay) for mark in marks}, key=_order)
    several = len({site for site, _ in lanes}) > 1
    found = []
    for site, camera in lanes:
        mine = [mark for mark in marks if _lane(mark.stay) == (site, camera)]
        name = camera or "camera not known"
        if isinstance(names.numbered(camera or None), int):
            name = f"camera {camera}"
        found.append(Track(f"{site}: {name}" if several else name, mine, _numbers(mine)))
    return axis, found


def title(trace: "Trace") -> str:
    """Whose stays these are, and where they were looked for."""
    sets = dict.fromkeys(hit.dataset for stay in trace.stays for hit in stay.hits)
    where = f" in {', '.join(sets)}" if sets else ""
    return f"Where was the person in {captions.question(trace)}{where}?"


def facts(trace: "Trace", made: Made | None) -> Facts:
    """What was found, by which threshold, when and by which command."""
    told = [("found", seen(trace)), ("matches", threshold(trace))]
    if trace.not_learned is not None:
        told.append(("learned", trace.not_learned.message))
    if trace.unit == FRAMES and trace.stays:
        told.append(("times", "frames after the first stay, each camera's sequences joined"))
    return told if made is None else [*told, *made.facts(trace.zone)]


def seen(trace: "Trace") -> str:
    """How often, where and from when to when; of nobody, how near the nearest is."""
    if not trace.stays:
        return nobody(trace)
    crops = sum(len(stay.hits) for stay in trace.stays)
    cameras = len({_lane(stay) for stay in trace.stays})
    said = (
        f"{counted(len(trace.stays), 'stay')} of {counted(crops, 'crop')} at "
        f"{counted(cameras, 'camera')}"
    )
    timed = [stay for stay in trace.stays if stay.start is not None and stay.end is not None]
    if not timed:
        return said
    starts, ends = [s.start or 0.0 for s in timed], [s.end or 0.0 for s in timed]
    lasted = captions.lasting(max(ends) - min(starts), trace.unit)
    if trace.unit == FRAMES:
        return f"{said}, over {lasted}"
    first = captions.ends(timed[0], trace.unit, trace.zone)[0]
    last = captions.ends(max(timed, key=lambda s: s.end or 0.0), trace.unit, trace.zone)[1]
    return f"{said}, from {first} to {captions.later(first, last) or last} ({lasted})"


def nobody(trace: "Trace") -> str:
    """How near the nearest is to having been found."""
    if trace.nearest is None:
        return "nothing is stored of what was asked for"
    below = trace.threshold - trace.nearest
    return f"nobody: the nearest has {trace.nearest:.3f}, {below:.3f} below the threshold"


def threshold(trace: "Trace") -> str:
    """From which score on, and how many pairs of different people reach it."""
    by = ", ".join(("cosine", *trace.ranking.words))
    said = f"scores by {by}, of at least {trace.threshold:.3f}"
    if trace.rate is None:
        return said
    whose = "this gallery's calibration" if trace.origin == "gallery" else "the encoder"
    pairs = f"{one_in(trace.rate)} pairs of different people"
    if trace.crowd is None:
        return f"{said}, which {pairs} reach, as {whose} tells"
    return (
        f"{said}, {trace.threshold - trace.crowd:.3f} above the crowd that is like this picture: "
        f"so far out of it stand {pairs}, as {whose} tells"
    )


def _marks(trace: "Trace", axis: Axis | None) -> list[Mark]:
    marks: list[Mark] = []
    until: float | None = None
    for number, stay in enumerate(trace.stays, start=1):
        left = right = None
        gap = ""
        if stay.start is not None and stay.end is not None and axis is not None:
            left, right = axis.at(stay.start), axis.at(stay.end)
            if until is not None:
                apart = stay.start - until
                gap = f"{captions.lasting(apart, trace.unit)} later" if apart > 0 else "meanwhile"
            until = max(stay.end, stay.end if until is None else until)
        caption = captions.of_stay(number, stay, trace.unit, trace.zone, gap=gap, lane=True)
        marks.append(Mark(number, stay, verdicts.kind(trace, stay.hits[0]), left, right, caption))
    return marks


def _numbers(marks: Sequence[Mark]) -> list[tuple[float, str]]:
    placed = [(m.number, m.left, m.right) for m in marks]
    known = [(n, (left + right) / 2) for n, left, right in placed if left is not None and right]
    known.sort(key=lambda one: one[1])
    numbers = []
    for group in timeline.crowded([at for _, at in known], least=NEAREST):
        here = [known[one] for one in group]
        middle = (here[0][1] + here[-1][1]) / 2
        numbers.append((middle, _listed(sorted(n for n, _ in here))))
    return numbers


def _listed(numbers: Sequence[int]) -> str:
    """``1``, ``1, 3``, ``1 … 9``."""
    if len(numbers) < 3:
        return ", ".join(map(str, numbers))
    return f"{numbers[0]} … {numbers[-1]}"


def _lane(stay: "Stay") -> tuple[str, str]:
    """A stay's site, and its camera; empty where that is not known."""
    return stay.site, "" if stay.camera is None else str(stay.camera)


def _order(lane: tuple[str, str]) -> tuple[str, bool, tuple[bool, int, str]]:
    site, camera = lane
    return site, bool(camera), names.order(camera)
