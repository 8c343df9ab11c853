"""Transit times: against closed forms and slow references."""

import itertools
import math

import numpy as np
import pytest

from reidsearch.errors import UsageError
from reidsearch.ranking import pairs, transit
from reidsearch.ranking.arrays import from_npz, to_npz
from reidsearch.ranking.clock import FRAMES, SECONDS, Clock
from reidsearch.ranking.transit import LEARNING, Learning, Transit


def integers(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


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
    # The same person: the smoothing Gaussian; of BINS pairs and prior_pairs of the prior, which
    # where the Gaussian is high is like it, only shared with the other sign.
    for bins_later in (WALK, WALK + 3, WALK - 5):
        away = bins_later - WALK
        strangers = (BINS - abs(away)) / BINS**2
        gauss = math.exp(-0.5 * (away / LEARNING.smoothing) ** 2)
        gauss /= LEARNING.smoothing * math.sqrt(2 * math.pi)
        assert ratio(bins_later) == pytest.approx(math.log(gauss / strangers), abs=0.1)
    assert ratio(WALK + 200) < -5
    assert ratio(WALK + 200) >= -transit.CLIP
    assert ratio(10 * BINS) == ratio(BINS + WALK - 1)  # beyond the end its last value holds


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
    assert set(model.own) == {(1, 2)}
    here = np.array([0.0])
    near, far = (
        model.ratios(integers(1), here, integers(3), np.array([b * 4.0]))[0, 0]
        for b in (WALK, WALK + 300)
    )
    assert near > 1
    assert far < -1
    backwards = model.ratios(integers(3), here, integers(1), np.array([WALK * 4.0]))[0, 0]
    assert backwards == near


def test_times_far_apart_count_alike() -> None:
    camera, times, same = walkers()
    how = Learning(farthest=50)
    model = transit.learn(Clock(SECONDS, {}), camera, times, same, how=how)
    assert len(model.prior) == 50 + 1
    later = np.array([WALK, 60, 900]) * 4.0
    ratios = model.ratios(integers(1), np.array([0.0]), integers(2, 2, 2), later)
    assert ratios[0, 0] > 4
    assert ratios[0, 1] == ratios[0, 2] < -4


def ring(*, cameras: int, people: int, seconds: float, seed: int) -> tuple[np.ndarray, ...]:
    """People walk past five of the cameras, one after the other, a minute from each to the next.
    Their identities, cameras and times."""
    rng = np.random.default_rng(seed)
    step = np.arange(5)
    camera = (rng.integers(0, cameras, (people, 1)) + step) % cameras + 1
    times = rng.uniform(0, seconds, (people, 1)) + 60.0 * step + rng.normal(0, 6, (people, 5))
    return np.repeat(np.arange(1, people + 1), 5), camera.reshape(-1), times.reshape(-1)


def slowly(camera: np.ndarray, bins: np.ndarray, same: np.ndarray) -> dict[tuple[int, ...], float]:
    """(a, b, difference) -> ratio, by the definition, pair by pair."""
    reach = int(np.abs(bins[:, None] - bins).max()) + 12
    width = 2 * reach + 1

    def smooth(differences: list[int]) -> np.ndarray:
        out = np.zeros(width)
        for difference in differences:
            for away in range(-12, 13):
                if abs(difference + away) <= reach:
                    out[difference + away + reach] += math.exp(-0.5 * (away / 3) ** 2)
        return out / sum(math.exp(-0.5 * (away / 3) ** 2) for away in range(-12, 13))

    def folded(counts: np.ndarray) -> np.ndarray:
        out = counts[reach:] + np.append(0.0, counts[:reach][::-1])
        return np.asarray(out / out.sum())

    pairs = list(itertools.combinations(sorted(set(camera.tolist())), 2))
    together: dict[tuple[int, int], list[int]] = {pair: [] for pair in pairs}
    for i, j in same.tolist():
        i, j = (i, j) if camera[i] < camera[j] else (j, i)
        together[int(camera[i]), int(camera[j])].append(int(bins[j] - bins[i]))
    different = {
        (a, b): [int(v - u) for u in bins[camera == a] for v in bins[camera == b]]
        for a, b in pairs
    }  # fmt: skip
    p_same, p_all = (
        folded(smooth([d for pair in pairs for d in one[pair]])) for one in (together, different)
    )
    prior = np.divide(p_same, p_all, out=np.ones(reach + 1), where=p_all > 0)
    floor, out = math.exp(-6), dict[tuple[int, ...], float]()
    for a, b in pairs:
        strangers = smooth(different[a, b])
        strangers /= strangers.sum()
        leaning = strangers * prior[np.abs(np.arange(-reach, reach + 1))]
        count = len(together[a, b])
        for place in np.flatnonzero(strangers > 1e-6):
            ratio = prior[abs(place - reach)]
            if count:
                own = smooth(together[a, b])[place] + 50 * leaning[place] / leaning.sum()
                ratio = own / (count + 50) / strangers[place]
            found = math.log((1 - floor) * ratio + floor)
            out[a, b, int(place - reach)] = min(max(found, -6.0), 6.0)
    return out


def test_ratios_are_those_of_the_definition() -> None:
    identity, camera, times = ring(cameras=11, people=18, seconds=700, seed=2)
    clock = Clock(SECONDS, {})
    same = pairs.known_pairs(identity, camera)
    expected = slowly(camera, np.floor(times / LEARNING.seconds).astype(int), same)
    model = transit.learn(clock, camera, times, same)
    assert 20 < len(model.own) < 50  # of 55
    for (a, b, difference), ratio in expected.items():
        later = np.array([difference * 4.0])
        found = model.ratios(integers(a), np.zeros(1), integers(b), later)
        assert found[0, 0] == pytest.approx(ratio, abs=0.02), (a, b, difference)
    assert max(expected.values()) > 1.5
    assert min(expected.values()) < -5


def test_many_ratios_at_once_are_those_asked_for_one_by_one() -> None:
    identity, camera, times = ring(cameras=4, people=60, seconds=600, seed=1)
    model = transit.learn(
        Clock(SECONDS, {}), camera, times, pairs.known_pairs(identity, camera)
    )  # fmt: skip
    at_once = model.ratios(camera, times, camera, times)
    assert (camera == 1).sum() * (camera == 2).sum() > 2 * len(model.prior)
    for i in range(0, len(camera), 7):
        one = model.ratios(camera[i : i + 1], times[i : i + 1], camera, times)
        assert np.array_equal(one[0], at_once[i])


def test_no_ratio_is_larger_than_the_most_of_its_camera_and_one_is_as_large() -> None:
    identity, camera, times = ring(cameras=6, people=80, seconds=900, seed=4)
    model = transit.learn(
        Clock(SECONDS, {}), camera, times, pairs.known_pairs(identity, camera)
    )  # fmt: skip
    cameras, reach = integers(*range(1, 8)), len(model.prior) + 2  # 7 is one that was never seen
    later = np.tile(np.arange(-reach, reach + 1) * model.bin, len(cameras))
    there = np.repeat(cameras, 2 * reach + 1)
    highest = model.ratios(cameras, np.zeros(len(cameras)), there, later).max(axis=1)
    most = model.most(cameras)
    assert (highest <= most).all()
    assert np.array_equal(highest, most)
    assert len(set(most.tolist())) > 3


@pytest.mark.parametrize("enough", [0, 10, 10_000])
@pytest.mark.parametrize("span", [150, 2000])
def test_differences_are_those_of_all_pairs(enough: int, span: int) -> None:
    rng = np.random.default_rng(span)
    a, b = (np.sort(rng.integers(0, span, size)) + 1000 for size in (70, 90))
    expected = np.zeros(81)
    for one in a:
        for other in b:
            expected[int(np.clip(other - one, -40, 40)) + 40] += 1
    found = transit._differences(a, b, Learning(farthest=40, enough=enough))
    assert found.sum() == pytest.approx(expected.sum())
    if enough < 10_000 and span == 2000:  # a sample: what is farther is counted all the same
        assert found[[0, -1]] == pytest.approx(expected[[0, -1]], abs=40)
        assert np.count_nonzero(found) < np.count_nonzero(expected)
    else:
        assert found.tolist() == expected.tolist()


def test_two_hundred_cameras_over_a_month_take_room_for_what_was_seen() -> None:
    identity, camera, times = ring(cameras=200, people=2000, seconds=30 * 86400, seed=4)
    same = pairs.known_pairs(identity, camera)
    model = transit.learn(Clock(SECONDS, {}), camera, times, same)
    assert len(model.own) == 200 * 4
    assert sum(len(own.bins) for own in model.own.values()) < len(same) * len(LEARNING.kernel)
    assert len(model.to_bytes()) < 1_000_000
    here = np.zeros(1)
    minute, hour = (
        float(model.ratios(integers(17), here, integers(18), np.array([s]))[0, 0])
        for s in (60.0, 3600.0)
    )
    assert minute > 3
    assert hour < -5


def test_without_pairs_across_cameras_nothing_can_be_learned() -> None:
    camera, times, _ = walkers()
    with pytest.raises(UsageError, match="no pair of images of one person"):
        transit.learn(Clock(SECONDS, {}), camera, times, integers(0, 1).reshape(1, 2))


def test_a_model_comes_back_from_its_bytes() -> None:
    camera, times, same = walkers()
    clock = Clock(FRAMES, {(1, 1): 0, (2, 1): 5})
    model = transit.learn(clock, camera, times, same)
    again = Transit.from_bytes(model.to_bytes())
    assert (again.clock, again.pairs, again.bin) == (model.clock, model.pairs, 100.0)
    assert np.array_equal(again.prior, model.prior)
    assert again.own.keys() == model.own.keys() == {(1, 2)}
    (bins, ratios, share), expected = again.own[1, 2], model.own[1, 2]
    assert bins.tolist() == expected.bins.tolist()
    assert ratios.tolist() == expected.ratios.tolist()
    assert share == expected.share


def test_a_model_knows_how_long_its_bins_are() -> None:
    camera, times, same = walkers()
    coarse = transit.learn(Clock(SECONDS, {}), camera, times, same)
    fine = transit.learn(Clock(SECONDS, {}), camera, times / 4, same, how=Learning(seconds=1.0))
    assert fine.bin == 1.0
    some = slice(0, None, 97)
    expected = coarse.ratios(camera[some], times[some], camera[some], times[some])
    for model in (fine, Transit.from_bytes(fine.to_bytes())):
        found = model.ratios(camera[some], times[some] / 4, camera[some], times[some] / 4)
        assert np.array_equal(found, expected)


def test_an_archive_that_does_not_tell_its_bins_has_those_of_then() -> None:
    camera, times, same = walkers()
    model = transit.learn(Clock(SECONDS, {}), camera, times, same)
    arrays = from_npz(model.to_bytes())
    del arrays["bin"]
    assert Transit.from_bytes(to_npz(**arrays)).bin == model.bin == 4.0
