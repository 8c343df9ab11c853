"""Transit times: against closed forms and slow references."""

import math

import numpy as np
import pytest

from reidsearch import transit
from reidsearch.errors import UsageError
from reidsearch.transit import FRAMES, SECONDS, Clock, Transit
from reidsearch.types import UNKNOWN

UNKNOWN_TIMES = np.full(4, np.nan)


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_frames_go_on_from_one_sequence_of_a_camera_to_the_next() -> None:
    camera, sequence = integers(1, 1, 1, 2), integers(1, 1, 2, 1)
    frame = integers(5, 99, 7, 7)
    clock = transit.clock(camera, sequence, frame, UNKNOWN_TIMES)
    assert clock.unit == FRAMES
    times = clock.times(camera, sequence, frame, UNKNOWN_TIMES)
    assert times.tolist() == [5, 99, 100 + 7, 7]  # the first sequence has frames 0 to 99


def test_a_sighting_without_a_frame_or_of_a_new_sequence_has_no_time() -> None:
    clock = Clock(FRAMES, {(1, 1): 0})
    times = clock.times(integers(1, 1), integers(1, 2), integers(UNKNOWN, 3), UNKNOWN_TIMES[:2])
    assert np.isnan(times).all()


def test_timestamps_are_the_time_where_all_are_known() -> None:
    stamps = np.array([10.0, 20.0, 30.0, 40.0])
    none = np.full(4, UNKNOWN)
    clock = transit.clock(none, none, none, stamps)
    assert clock.unit == SECONDS
    assert clock.times(none, none, none, stamps).tolist() == stamps.tolist()
    assert clock.bins(stamps).tolist() == [2, 5, 7, 10]  # of 4 s


def test_without_any_time_nothing_can_be_learned() -> None:
    none = np.full(4, UNKNOWN)
    with pytest.raises(UsageError, match="no stored image has a time"):
        transit.clock(none, none, none, UNKNOWN_TIMES)


WALK = 20  # bins from camera 1 to camera 2
BINS = 1000


def walkers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A person in every bin passes camera 1, and camera 2 WALK bins later."""
    times = np.concatenate([np.arange(BINS), np.arange(BINS) + WALK]) * 4.0
    camera = np.repeat([1, 2], BINS)
    same = np.stack([np.arange(BINS), np.arange(BINS) + BINS], axis=1)
    return camera, times, same


def test_the_ratio_is_that_of_the_two_distributions() -> None:
    camera, times, same = walkers()
    model = transit.learn(Clock(SECONDS, {}), camera, times, same)

    def ratio(bins_later: int) -> float:
        here, there = np.array([0.0]), np.array([bins_later * 4.0])
        return float(model.ratios(integers(1), here, integers(2), there)[0, 0])

    # Strangers: two uniform times, hence a triangle around WALK, BINS - |d - WALK| of BINS ** 2.
    # The same person: the smoothing Gaussian; of BINS pairs and PRIOR_PAIRS of the prior, which
    # where the Gaussian is high is like it, only shared with the other sign.
    for bins_later in (WALK, WALK + 3, WALK - 5):
        away = bins_later - WALK
        strangers = (BINS - abs(away)) / BINS**2
        gauss = math.exp(-0.5 * (away / transit.SMOOTHING) ** 2)
        gauss /= transit.SMOOTHING * math.sqrt(2 * math.pi)
        assert ratio(bins_later) == pytest.approx(math.log(gauss / strangers), abs=0.1)
    assert ratio(WALK + 200) < -5
    assert ratio(WALK + 200) >= -transit.CLIP
    assert ratio(10 * BINS) == ratio(BINS + WALK - 1)  # beyond the end the outermost value holds


def test_the_other_way_round_is_the_same_evidence() -> None:
    camera, times, same = walkers()
    model = transit.learn(Clock(SECONDS, {}), camera, times, same[:, ::-1])
    some = slice(0, None, 97)
    forth = model.ratios(camera[some], times[some], camera[some], times[some])
    assert np.array_equal(forth, forth.T)
    assert np.abs(forth).max() > 3


def test_one_camera_and_unknown_times_are_neutral() -> None:
    camera, times, same = walkers()
    model = transit.learn(Clock(SECONDS, {}), camera, times, same)
    assert not model.ratios(integers(1), times[:1], integers(1), times[:1]).any()
    assert not model.ratios(integers(1), times[:1], integers(2), np.array([np.nan])).any()


def test_cameras_without_pairs_lean_on_what_all_together_say() -> None:
    camera, times, same = walkers()
    camera = np.concatenate([camera, np.full(BINS, 3)])
    times = np.concatenate([times, times[:BINS]])
    model = transit.learn(Clock(SECONDS, {}), camera, times, same)
    assert set(model.tables) == {(1, 2)}
    here = np.array([0.0])
    near, far = (
        model.ratios(integers(1), here, integers(3), np.array([b * 4.0]))[0, 0]
        for b in (WALK, WALK + 300)
    )
    assert near > 1
    assert far < -1
    backwards = model.ratios(integers(3), here, integers(1), np.array([WALK * 4.0]))[0, 0]
    assert backwards == near


def test_times_far_apart_share_the_outermost_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transit, "FARTHEST", 50)
    camera, times, same = walkers()
    model = transit.learn(Clock(SECONDS, {}), camera, times, same)
    assert len(model.tables[1, 2]) == 2 * 50 + 1
    later = np.array([WALK, 60, 900]) * 4.0
    ratios = model.ratios(integers(1), np.array([0.0]), integers(2, 2, 2), later)
    assert ratios[0, 0] > 4
    assert ratios[0, 1] == ratios[0, 2] < -4


def test_without_pairs_across_cameras_nothing_can_be_learned() -> None:
    camera, times, _ = walkers()
    with pytest.raises(UsageError, match="no pair of images of one person"):
        transit.learn(Clock(SECONDS, {}), camera, times, integers(0, 1).reshape(1, 2))


def test_known_pairs_are_of_one_person_and_two_cameras() -> None:
    identity = integers(7, 0, 7, -1, 7, 0, 8)
    camera = integers(1, 1, 2, 2, 1, 2, 1)
    pairs = {tuple(sorted(pair)) for pair in transit.known_pairs(identity, camera).tolist()}
    assert pairs == {(0, 2), (2, 4)}


def test_mutual_pairs_are_each_others_nearest_between_two_cameras(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transit, "BLOCK", 7)
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    camera = rng.integers(1, 4, 60)

    def nearest(image: int, other: int) -> int:
        there = [j for j in range(60) if camera[j] == other]
        return max(there, key=lambda j: float(vectors[image] @ vectors[j]))

    expected = {
        (i, nearest(i, b))
        for i in range(60)
        for b in (1, 2, 3)
        if b > camera[i] and nearest(nearest(i, b), int(camera[i])) == i
    }
    assert {tuple(pair) for pair in transit.mutual_pairs(vectors, camera).tolist()} == expected
    assert len(expected) > 10


def test_a_model_comes_back_from_its_bytes() -> None:
    camera, times, same = walkers()
    clock = Clock(FRAMES, {(1, 1): 0, (2, 1): 5})
    model = transit.learn(clock, camera, times, same)
    again = Transit.from_bytes(model.to_bytes())
    assert (again.clock, again.first, again.pairs) == (model.clock, model.first, model.pairs)
    assert np.array_equal(again.shared, model.shared)
    assert np.array_equal(again.tables[1, 2], model.tables[1, 2])
