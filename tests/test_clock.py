"""Clocks: timestamps where most have them, otherwise frames over sequences."""

import numpy as np
import pytest

from reidsearch.errors import UsageError
from reidsearch.ranking.clock import FRAMES, SECONDS, Clock
from reidsearch.types import UNKNOWN

UNKNOWN_TIMES = np.full(4, np.nan)


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_frames_go_on_from_one_sequence_of_a_camera_to_the_next() -> None:
    camera, sequence = integers(1, 1, 1, 2), integers(1, 1, 2, 1)
    frame = integers(5, 99, 7, 7)
    clock = Clock.of(camera, sequence, frame, UNKNOWN_TIMES)
    assert clock.unit == FRAMES
    times = clock.times(camera, sequence, frame, UNKNOWN_TIMES)
    assert times.tolist() == [5, 99, 100 + 7, 7]  # the first sequence has frames 0 to 99


def test_a_sighting_without_a_frame_or_of_a_new_sequence_has_no_time() -> None:
    clock = Clock(FRAMES, {(1, 1): 0})
    times = clock.times(integers(1, 1), integers(1, 2), integers(UNKNOWN, 3), UNKNOWN_TIMES[:2])
    assert np.isnan(times).all()


def test_timestamps_are_the_time_where_they_are_known() -> None:
    stamps = np.array([10.0, 20.0, 30.0, 40.0])
    none = np.full(4, UNKNOWN)
    clock = Clock.of(none, none, none, stamps)
    assert clock.unit == SECONDS
    assert clock.times(none, none, none, stamps).tolist() == stamps.tolist()


def test_what_most_images_have_is_the_time_and_others_have_none() -> None:
    none, camera = np.full(4, UNKNOWN), integers(1, 1, 2, 2)
    stamps = np.array([10.0, np.nan, 30.0, np.nan])
    clock = Clock.of(camera, none, none, stamps)
    assert clock.unit == SECONDS
    np.testing.assert_array_equal(clock.times(camera, none, none, stamps), stamps)
    frame = integers(1, 2, 3, UNKNOWN)
    assert Clock.of(camera, none, frame, stamps).unit == FRAMES
    assert Clock.of(camera, none, integers(1, 2, UNKNOWN, UNKNOWN), stamps).unit == SECONDS


def test_without_any_time_nothing_can_be_learned() -> None:
    none = np.full(4, UNKNOWN)
    with pytest.raises(UsageError, match="no stored image has a time"):
        Clock.of(none, none, none, UNKNOWN_TIMES)
