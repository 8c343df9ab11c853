"""A time axis, to scale: where on it a moment is, and what is written below it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from reidsearch import times
from reidsearch.ranking.clock import SECONDS

MARGIN = 0.03  # of the width, left of the first moment and right of the last
MOST = 8  # ticks
SECOND_STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    2 * 86_400, 7 * 86_400, 14 * 86_400, 28 * 86_400,
)  # fmt: skip
DAY = 86_400


class Tick(NamedTuple):
    """A moment that is told: its place, a share of the width, its words, and the date where it
    begins or nothing."""

    at: float
    label: str
    date: str


@dataclass(frozen=True)
class Axis:
    """From ``start`` to ``end``, in seconds since 1970 or frames on a camera's clock."""

    start: float
    end: float
    ticks: tuple[Tick, ...]

    @classmethod
    def of(cls, moments: Sequence[float], unit: str | None, zone: times.Zone) -> Self | None:
        """The axis that holds these moments; None without any.

        Seconds show as dates and times of day in ``zone``. Frames are counted from the first
        moment: the clock's own numbers are in no file's name, as it goes on from each of a camera's
        sequences to the next.
        """
        if not moments:
            return None
        start, end = min(moments), max(moments)
        if start == end:
            end = start + 1
        bare = cls(start, end, ())
        ticks = _clock(bare, zone) if unit == SECONDS else _frames(bare)
        return cls(start, end, tuple(ticks))

    def at(self, moment: float) -> float:
        """The place of a moment, a share of the width."""
        return MARGIN + (1 - 2 * MARGIN) * (moment - self.start) / (self.end - self.start)


def _clock(axis: Axis, zone: times.Zone) -> list[Tick]:
    steps = (step for step in SECOND_STEPS if (axis.end - axis.start) / step <= MOST)
    step = next(steps, math.ceil((axis.end - axis.start) / MOST / DAY) * DAY)
    offset = times.local(axis.start, zone).utcoffset()
    shift = offset.total_seconds() if offset is not None else 0.0
    ticks, date = [], ""
    moment = math.ceil((axis.start + shift) / step) * step - shift
    if moment > axis.end:  # nothing round lies between
        moment = axis.start
    while moment <= axis.end:
        local = times.local(moment, zone)
        today = local.date().isoformat()
        clock = local.strftime("%H:%M" if step >= 60 else "%H:%M:%S")
        whole_days = step >= DAY
        shown = today if whole_days else clock
        ticks.append(Tick(axis.at(moment), shown, "" if whole_days or today == date else today))
        date = today
        moment += step
    return ticks


def _frames(axis: Axis) -> list[Tick]:
    wide = (axis.end - axis.start) / MOST
    size = 10 ** math.floor(math.log10(max(wide, 1)))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= wide)
    count = int((axis.end - axis.start) // step)
    return [Tick(axis.at(axis.start + n * step), f"+{n * step:,.0f}", "") for n in range(count + 1)]


def crowded(places: Sequence[float], *, least: float) -> list[list[int]]:
    """Which of these places, in order, are less than ``least`` apart from the one before: groups of
    their numbers."""
    groups: list[list[int]] = []
    for number, place in enumerate(places):
        if groups and place - places[groups[-1][-1]] < least:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups
