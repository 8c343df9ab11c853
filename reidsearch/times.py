"""Moments as people write them, and how they are shown.

Within the program a moment is seconds since 1970 UTC. A time that is written without an offset is a
time of day somewhere: in the zone that is given, or else in the machine's own. None stands for that
one, as in ``datetime``, so that ``TZ`` and the system's settings hold.
"""

import re
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeAlias
from zoneinfo import ZoneInfo

from reidsearch.types import YEAR_1, YEAR_10000

Zone: TypeAlias = tzinfo | None

FORMATS = "2024-05-01, 2024-05-01T12:00:00+02:00 or 1714557600"
PLAUSIBLE = (1e8, 4e9)  # seconds since 1970: the years 1973 to 2096
HOURS = 10_000  # that are remembered: a year of them
SHOWN = 60  # characters of a wrong text that a message repeats
_OFFSETS = ("", "+", "-", "Z")
_SEPARATORS = ("", "T", " ")  # between date and time of day
_COMPACT_LENGTHS = (8, 12, 14)  # digits of a date, with minutes, with seconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_NUMBER = re.compile(r"[+-]?(?:\d{1,30}(?:[.,]\d{0,30})?(?:[eE][+-]?\d{1,3})?|nan|inf)", re.ASCII)
_CLOCK = r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
_OFFSET = r"\s?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?"
_YEAR_FIRST = re.compile(
    rf"(\d{{4}})([-/.:])(\d{{1,2}})\2(\d{{1,2}})(?:(?:T|\s+){_CLOCK}{_OFFSET})?", re.ASCII | re.I
)
_COMPACT = re.compile(
    rf"(\d{{4}})(\d\d)(\d\d)(?:T?(\d\d)(\d\d)(?:(\d\d)(?:[.,](\d{{1,9}}))?)?{_OFFSET})?",
    re.ASCII | re.I,
)
_YEAR_LAST = re.compile(r"\d{1,2}([-/. ])\d{1,2}\1(?:\d{4}|\d\d)(?!\d).*", re.ASCII | re.DOTALL)
_UNITS: Mapping[str, float] = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}


def parse(text: str, zone: Zone) -> float:
    """The seconds of ``moment``, and as it raises."""
    return moment(text, zone)[0]


def written(seconds: float) -> str:
    """A text that ``parse`` reads as that time, wherever: as a number where it takes one, to the
    microsecond where it does not."""
    if PLAUSIBLE[0] <= seconds <= PLAUSIBLE[1]:
        return repr(float(seconds))
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def moment(text: str, zone: Zone) -> tuple[float, bool]:
    """What a text means, in seconds since 1970 UTC, and whether it leaves open where its time of
    day holds: then it is taken to be of ``zone``.

    Understood are seconds since 1970, and dates that begin with their year, with or without a time
    of day and an offset from UTC, as in ISO 8601 and without its hyphens. Of a time that comes
    twice, when clocks are put back, it is the first. Raises ValueError on what can be read in
    several ways, like 01/05/2024, on numbers that are hardly seconds since 1970, and on anything
    else.
    """
    if text[4:8:3] == "--" and text[10:11] in _SEPARATORS:
        try:  # the usual cases, several times as fast as a pattern
            return _checked(datetime.fromisoformat(text), zone, text)
        except ValueError:
            pass
    text = text.strip()
    if len(text) > SHOWN:
        raise ValueError(_not_understood(text))
    number = _NUMBER.fullmatch(text)
    if number is not None and len(text) not in _COMPACT_LENGTHS:
        return _seconds(text), False
    compact = _COMPACT.fullmatch(text)
    if compact is not None:
        try:
            return _checked(_dated(text, *compact.groups()), zone, text)
        except ValueError:
            if number is None:
                raise
    if number is not None:
        return _seconds(text), False
    whole = _YEAR_FIRST.fullmatch(text)
    if whole is not None:
        year, _, *rest = whole.groups()
        return _checked(_dated(text, year, *rest), zone, text)
    if _YEAR_LAST.fullmatch(text):
        raise ValueError(
            f"timestamp {text!r} does not say which is the day and which the month: begin with the "
            f"year, like {FORMATS}"
        )
    raise ValueError(_not_understood(text))


class Moments:
    """``moment`` for millions of texts, most of which name an hour that others name, too."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        # When an hour began, by what stands before its minutes and behind its seconds.
        self._hours: dict[str, float] = {}
        self._within = {f":{at // 60:02}:{at % 60:02}": at for at in range(3600)}

    def of(
        self, texts: Iterable[str], *, unknown: Collection[str] = ()
    ) -> tuple[list[float | None], int]:
        """What each text means, None where without space around it it is in ``unknown``; and how
        many leave open where their time of day holds. Raises as ``moment`` does."""
        hours, within = self._hours, self._within
        found: list[float | None] = []
        naive = 0
        for text in texts:
            try:
                found.append(hours[text[:13] + text[19:]] + within[text[13:19]])
                naive += len(text) == 19
            except KeyError:
                if text.strip() in unknown:
                    found.append(None)
                    continue
                seconds, is_naive = moment(text, self._zone)
                found.append(seconds)
                naive += is_naive
                self._remember(text)
        return found, naive

    def _remember(self, text: str) -> None:
        """The hour of a moment, if that is written like ``2024-05-01T12:00:00+02:00`` and no clocks
        change within it."""
        start, offset = text[:13], text[19:]
        if text[13:19] not in self._within or offset[:1] not in _OFFSETS:
            return
        with suppress(ValueError):
            first, last = (
                moment(f"{start}:{rest}{offset}", self._zone)[0] for rest in ("00:00", "59:59")
            )
            if last - first == 3599:
                if len(self._hours) == HOURS:
                    self._hours.clear()
                self._hours[start + offset] = first


def show(seconds: float, zone: Zone, *, sep: str = " ") -> str:
    """A moment to the second, as the clock in ``zone`` shows it, with its offset from UTC:
    ``2024-05-01 12:00:00+02:00``."""
    return local(round(seconds), zone).isoformat(sep=sep, timespec="seconds")


def local(seconds: float, zone: Zone) -> datetime:
    """A moment as a datetime in ``zone``; in UTC where that has no such year."""
    there = _EPOCH + timedelta(seconds=min(seconds, YEAR_10000 - 1))
    try:
        return there.astimezone(zone)
    except (OverflowError, ValueError, OSError):  # before year 1 there, or the system's clock
        return there


def named(name: str) -> ZoneInfo:
    """The zone of that name, like Europe/Berlin. Raises ValueError where none is called so."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such name, or none that could be a file's
        raise ValueError(f"{name!r} is no time zone that is known here") from None


def name(zone: Zone) -> str:
    """What people call a zone."""
    if zone is not None:
        return str(zone)
    return "/".join(dict.fromkeys(time.tzname)) + ", the zone of this machine"


def _dated(text: str, *parts: str | None) -> datetime:
    """From year, month, day, hour, minute, second, fraction and offset, of which all from the hour
    on may be missing."""
    year, month, day, hour, minute, second, fraction, offset = parts
    iso = f"{year}-{month:0>2}-{day:0>2}T{hour or 0:0>2}:{minute or 0:0>2}:{second or 0:0>2}"
    if fraction:
        iso += f".{fraction[:6]:0<6}"
    if offset:
        iso += "+00:00" if offset[0].isalpha() else offset
    try:
        return datetime.fromisoformat(iso)
    except ValueError:
        raise ValueError(f"timestamp {text!r} is no date that there is") from None


def _checked(moment: datetime, zone: Zone, text: str) -> tuple[float, bool]:
    """Raises ValueError outside the years 1 to 9999, in UTC."""
    naive = moment.tzinfo is None
    try:
        seconds = (moment.replace(tzinfo=zone) if naive else moment).timestamp()
    except (OverflowError, OSError, ValueError):  # what the system's clock cannot tell
        seconds = float("nan")
    if not YEAR_1 <= seconds < YEAR_10000:
        raise ValueError(f"timestamp {text!r} is not in seconds of the years 1 to 9999")
    return seconds, naive


def _seconds(text: str) -> float:
    """Raises ValueError where a number is hardly seconds since 1970, and says what it may be."""
    seconds = float(text.replace(",", "."))
    first, last = PLAUSIBLE
    if first <= seconds < last:
        return seconds
    what = f"timestamp {text!r} is not in seconds since 1970"
    for unit, divisor in _UNITS.items():
        if first <= seconds / divisor < last:
            raise ValueError(f"{what}, but perhaps in {unit}: divide by {divisor:.0f}")
    if 20_000 <= seconds < 80_000:  # the days that spreadsheets count, 1954 to 2119
        raise ValueError(f"{what}, but perhaps a spreadsheet's date: export it as {FORMATS}")
    raise ValueError(
        f"{what}: those lie between {first:.0f} and {last:.0f}; what counts from the beginning of "
        "a recording is a frame"
    )


def _not_understood(text: str) -> str:
    cut = text if len(text) <= SHOWN else text[:SHOWN] + "…"
    return f"timestamp {cut!r} is neither seconds since 1970 nor ISO 8601, like {FORMATS}"
