"""Moments as people write them, and as they are shown."""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidsearch import times
from reidsearch.types import YEAR_1, YEAR_10000

BERLIN = ZoneInfo("Europe/Berlin")
NOON = 1714557600.0  # 2024-05-01 12:00 in Berlin


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z", "2024-05-01 12:00:00 +0200",
        "2024-05-01 10:00 UTC", "20240501T120000+02", "1714557600", "1714557600.0", "1714557600,0",
        "1.7145576e9", "2024-05-01T15:30:00+05:30", " 1714557600 ",
    ],
)  # fmt: skip
def test_a_moment_is_the_same_everywhere(text: str) -> None:
    for zone in (BERLIN, UTC, None):
        assert times.moment(text, zone) == (NOON, False)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T12:00", "2024-05-01 12:00:00", "20240501120000", "202405011200",
        "20240501T120000", "20240501T1200", "2024/05/01 12:00", "2024/5/1 12:00",
        "2024:05:01 12:00:00", "2024.05.01 12:00:00.000", "2024-05-01t12:00:00",
    ],
)  # fmt: skip
def test_a_time_of_day_without_an_offset_is_of_the_zone(text: str) -> None:
    assert times.moment(text, BERLIN) == (NOON, True)
    assert times.moment(text, UTC) == (NOON + 7200, True)


@pytest.mark.parametrize("text", ["2024-05-01", "20240501", "2024/5/1"])
def test_a_date_is_the_beginning_of_its_day(text: str) -> None:
    assert times.parse(text, BERLIN) == NOON - 12 * 3600


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("01.05.2024", "day and which the month"),
        ("05/01/2024 12:00", "day and which the month"),
        ("1/5/24", "day and which the month"),
        ("25-12-2024", "day and which the month"),
        ("1714557600000", "perhaps in milliseconds: divide by 1000"),
        ("1714557600000000", "microseconds"),
        ("45413.5", "spreadsheet"),
        ("0", "is a frame"),
        ("12.5", "is a frame"),
        ("-1.5", "is a frame"),
        ("nan", "not in seconds"),
        ("1e400", "not in seconds"),
        ("99999999", "not in seconds"),
        ("2024-02-30", "no date that there is"),
        ("2024-05-01 25:00", "no date that there is"),
        ("2024-W18-3", "neither seconds since 1970 nor"),
        ("2024-05-01x12:00", "neither"),
        ("12:30", "neither"),
        ("yesterday", "neither"),
        ("", "neither"),
        ("٣" * 10, "neither"),
        ("x" * 5000, "neither"),
        ("0001-01-01T00:00+14:00", "years 1 to 9999"),
        ("9999-12-31T23:59:59-14:00", "years 1 to 9999"),
    ],
)
def test_what_may_mean_several_times_or_none_is_refused_with_what_to_write(
    text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        times.parse(text, BERLIN)
    assert len(str(error.value)) < 250


def test_when_clocks_are_put_back_the_first_of_both_times_is_meant() -> None:
    first = datetime(2024, 10, 27, 2, 30, tzinfo=timezone(timedelta(hours=2))).timestamp()
    assert times.parse("2024-10-27 02:30", BERLIN) == first
    assert times.show(first, BERLIN) == "2024-10-27 02:30:00+02:00"
    assert times.show(first + 3600, BERLIN) == "2024-10-27 02:30:00+01:00"


def test_a_time_that_clocks_skip_is_taken_as_if_they_had_not() -> None:
    assert times.show(times.parse("2024-03-31 02:30", BERLIN), BERLIN) == (
        "2024-03-31 03:30:00+02:00"
    )


def test_times_are_shown_to_the_second_with_their_offset() -> None:
    assert times.show(NOON + 0.4, BERLIN) == "2024-05-01 12:00:00+02:00"
    assert times.show(NOON, UTC, sep="T") == "2024-05-01T10:00:00+00:00"
    assert times.show(-0.6, ZoneInfo("Asia/Kolkata")) == "1970-01-01 05:29:59+05:30"
    assert times.show(YEAR_1, ZoneInfo("America/New_York")) == "0001-01-01 00:00:00+00:00"
    assert times.show(YEAR_10000 - 0.1, BERLIN) == "9999-12-31 23:59:59+00:00"


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="TZ is not heeded here")
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "IST-5:30"])
def test_without_a_zone_the_machines_is_meant_and_tz_says_which(zone: str) -> None:
    code = (
        "from reidsearch import times as t;"
        "print(t.parse('2024-05-01 12:00', None), t.show(1714557600, None), t.name(None))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TZ": zone, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("1714545000.0 2024-05-01 15:30:00+05:30 IST")


@pytest.mark.parametrize(
    "name",
    ["Mars/Base", "", ".", "Europe", "../UTC", "/etc/localtime", "a\0b", "x" * 5000, "\udc80"],
)
def test_an_unknown_zone_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone"):
        times.named(name)


MOMENTS = st.floats(min_value=1e8, max_value=4e9 - 1)
ZONES = st.sampled_from([BERLIN, UTC, ZoneInfo("Pacific/Apia"), ZoneInfo("Australia/Lord_Howe")])


@given(MOMENTS, ZONES, ZONES)
def test_what_is_shown_is_understood_as_the_same_second(
    seconds: float, zone: ZoneInfo, other: ZoneInfo
) -> None:
    for sep in " T":
        assert times.parse(times.show(seconds, zone, sep=sep), other) == round(seconds)


SHAPES = st.from_regex(
    r"[+-]?[0-9]{1,14}([-/.:, T][0-9]{1,4}){0,6}([.,][0-9]{0,9})?( ?(Z|UTC|[+-][0-9:]{2,5}))?",
    fullmatch=True,
)


@settings(max_examples=500)
@given(st.one_of(SHAPES, st.text(max_size=80), st.text("0123456789-/.:T +Z", max_size=30)), ZONES)
def test_any_text_is_a_time_that_can_be_stored_or_a_short_reason(text: str, zone: ZoneInfo) -> None:
    try:
        seconds, _ = times.moment(text, zone)
    except ValueError as error:
        if not 0 < len(str(error)) < 400:
            raise
        return
    assert YEAR_1 <= seconds < YEAR_10000
    assert times.show(seconds, zone)
    digits = "".join(c for c in text if c.isdigit())
    assert digits[:4] == f"{times.local(seconds, zone).year:04}" or len(digits) > 5


@given(st.text(max_size=40))
def test_any_text_is_a_zone_or_an_error(name: str) -> None:
    with suppress(ValueError):
        assert times.show(NOON, times.named(name))


LIKE_MOST = st.builds(
    "{}{}{:02}:{:02}:{:02}{}".format,
    st.sampled_from(["2024-03-31", "2024-10-27", "2024-05-01", "2011-12-30", "2024-02-30"]),
    st.sampled_from("T _"), st.integers(0, 25), st.integers(0, 61), st.integers(0, 61),
    st.sampled_from(["", "", "Z", "+02:00", "-0330", " Z", ".5", "+25:00", "\n", "x"]),
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.one_of(LIKE_MOST, SHAPES, st.just(" NaN ")), max_size=12), ZONES)
def test_many_moments_are_what_each_is_by_itself(texts: list[str], zone: ZoneInfo) -> None:
    def alone(text: str) -> tuple[float | None, bool]:
        return (None, False) if text.strip() == "NaN" else times.moment(text, zone)

    many = times.Moments(zone)
    for text in texts * 2:  # at first unknown hours, then remembered ones
        try:
            expected, naive = alone(text)
        except ValueError as error:
            with pytest.raises(ValueError, match=re.escape(str(error))):
                many.of([text], unknown=["NaN"])
        else:
            assert many.of([text], unknown=["NaN"]) == ([expected], int(naive))


def test_more_hours_than_are_remembered_are_understood_all_the_same() -> None:
    texts = [times.show(NOON + 3600 * hour, UTC) for hour in range(times.HOURS + 10)]
    found, naive = times.Moments(BERLIN).of(texts)
    assert (found, naive) == ([NOON + 3600 * hour for hour in range(len(texts))], 0)
