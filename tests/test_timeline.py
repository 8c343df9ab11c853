"""The time axis: to scale, with round ticks."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch.views import captions, timeline
from reidsearch.views.timeline import Axis

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=9), st.sampled_from(["seconds", "frames"]))
def test_places_keep_order_and_ratio_and_few_ticks_stand_between_the_ends(
    moments: list[float], unit: str
) -> None:
    axis = Axis.of(moments, unit, UTC)
    assert axis is not None
    places = [axis.at(moment) for moment in sorted(moments)]
    assert places == sorted(places)
    assert all(0 < place < 1 for place in places)
    assert 1 <= len(axis.ticks) <= timeline.MOST + 1
    ticks = [tick.at for tick in axis.ticks]
    assert ticks == sorted(ticks)
    assert all(timeline.MARGIN - 1e-9 <= tick <= 1 - timeline.MARGIN + 1e-9 for tick in ticks)


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        ("2024-05-01T09:00:03", "2024-05-01T09:00:09", ["09:00:03", "09:00:09"]),
        ("2024-05-01T09:02", "2024-05-01T12:40", ["09:30", "12:30"]),
        ("2024-05-01T09:00", "2024-05-06T21:00", ["2024-05-02", "2024-05-06"]),
    ],
)
def test_ticks_are_round_by_the_clock_on_the_wall(first: str, last: str, labels: list[str]) -> None:
    axis = Axis.of([at(first), at(last)], "seconds", BERLIN)
    assert axis is not None
    assert [axis.ticks[0].label, axis.ticks[-1].label] == labels


def test_the_date_is_told_where_it_changes() -> None:
    axis = Axis.of([at("2024-05-01T20:00"), at("2024-05-02T03:00")], "seconds", BERLIN)
    assert axis is not None
    dates = [tick.date for tick in axis.ticks if tick.date]
    assert dates == ["2024-05-01", "2024-05-02"]


def test_frames_are_counted_from_the_first_and_nothing_has_no_axis() -> None:
    axis = Axis.of([305_238.0, 306_738.0], "frames", None)
    assert axis is not None
    assert [tick.label for tick in axis.ticks][:2] == ["+0", "+200"]
    assert axis.ticks[0].at == axis.at(305_238.0)
    assert Axis.of([], "frames", None) is None
    alone = Axis.of([7.0], "frames", None)
    assert alone is not None
    assert [tick.label for tick in alone.ticks] == ["+0", "+1"]


def test_places_that_are_too_close_form_groups() -> None:
    assert timeline.crowded([0.1, 0.11, 0.5, 0.51, 0.52], least=0.02) == [[0, 1], [2, 3, 4]]
    assert timeline.crowded([], least=0.1) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (13.2, "13 s"), (60, "1 min"), (119, "1 min 59 s"), (3600, "1 h"), (18_120, "5 h 2 min"),
        (90_000, "1 d 1 h"), (40_000_000, "462 d 23 h"),
    ],
)  # fmt: skip
def test_how_long_something_took_is_told_in_two_units_at_most(seconds: float, words: str) -> None:
    assert captions.lasting(seconds, "seconds") == words
    assert captions.lasting(1, "frames") == "1 frame"
