"""Expanded vectors against closed forms and against lists made pair by pair."""

import numpy as np
import pytest
from numpy.typing import NDArray

from reidsearch.ranking import expansion, transit
from reidsearch.ranking.calibration import Calibration, Source
from reidsearch.ranking.clock import SECONDS, Clock
from reidsearch.ranking.expansion import NONE, Neighbours, Pool, Settings
from reidsearch.ranking.pairs import known_pairs
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.types import UNKNOWN, Vectors

NOBODY = ScoreDistribution.of([])


def unit(vectors: NDArray[np.floating]) -> Vectors:
    made: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return made


def world(seed: int, size: int = 60, *, timed: bool, places: int = 1) -> Pool:
    """People who walk past three cameras, a minute from one to the next; some crops without a
    time, some without a camera, and every tenth crop stored twice."""
    rng = np.random.default_rng(seed)
    person = rng.integers(0, 12, size)
    camera = rng.integers(1, 4, size)
    times = 1000.0 * person + 60 * camera + rng.normal(0, 3, size)
    vectors = unit(rng.normal(size=(12, 16))[person] + 0.8 * rng.normal(size=(size, 16)))
    vectors[::10] = vectors[1::10]
    ranking = Ranking()
    if timed:
        same = known_pairs(person + 1, camera)
        model = transit.learn(Clock(SECONDS, {}), camera, times, same)
        ranking = Ranking(Calibration(model, 0.1, Source.MATCHES, size, 1.5, NOBODY, NOBODY))
    times[rng.random(size) < 0.2] = np.nan
    camera[rng.random(size) < 0.1] = UNKNOWN
    return Pool(vectors, rng.integers(0, places, size), Sighted(camera, times), ranking)


def pair_by_pair(pool: Pool, k: int) -> Neighbours:
    """The same lists from one score at a time."""
    found = expansion.nobody(len(pool), k)
    for a in range(len(pool)):
        scored = []
        for b in range(len(pool)):
            if a != b and pool.place[a] == pool.place[b]:
                (score,) = pool.scores(np.array([a]), np.array([b])).tolist()
                scored.append((-score, b))
        for rank, (score, b) in enumerate(sorted(scored)[:k]):
            found.nearest[a, rank], found.scores[a, rank] = b, -score
    return found


def assert_equal(found: Neighbours, expected: Neighbours) -> None:
    assert found.scores.tolist() == expected.scores.tolist()
    assert found.nearest.tolist() == expected.nearest.tolist()


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("places", [1, 3])
def test_lists_are_those_made_pair_by_pair(timed: bool, places: int) -> None:
    pool = world(1, timed=timed, places=places)
    every = np.arange(len(pool))
    expected = pair_by_pair(pool, 5)
    assert_equal(expansion.nearest(pool, every, k=5), expected)
    assert_equal(expansion.nearest(pool, every[7:40], k=5, at_once=8), expected[every[7:40]])


def test_a_score_is_the_cosine_and_what_times_add() -> None:
    pool = world(2, timed=True)
    a, b = np.divmod(np.arange(60 * 60), 60)
    calibration = pool.ranking.calibration
    assert calibration is not None
    cosines = pool.vectors.astype(np.float64) @ pool.vectors.astype(np.float64).T
    ratios = calibration.transit.ratios(*pool.seen, *pool.seen)
    assert len(np.unique(ratios)) > 4
    expected = np.minimum(cosines, 1) + 0.1 * ratios
    np.testing.assert_allclose(pool.scores(a, b).reshape(60, 60), expected, atol=1e-6)


def test_a_vector_carries_its_neighbours_by_their_score_to_the_power_alpha() -> None:
    vectors = np.eye(3, dtype=np.float32)
    found = Neighbours(np.array([[1, 2, NONE]]), np.array([[0.5, 0.1, -np.inf]], dtype=np.float32))
    made = expansion.carrying(vectors[:1], found, vectors, Settings(stored=3, probe=3, alpha=3.0))
    expected = unit(np.array([[1, 0.5**3, 0.1**3]]))
    np.testing.assert_allclose(made, expected, atol=1e-7)
    against = Neighbours(np.array([[1, 2]]), np.array([[-0.5, 0.0]], dtype=np.float32))
    unchanged = expansion.carrying(
        vectors[:1], against, vectors, Settings(stored=2, probe=2, alpha=3)
    )
    assert unchanged.tolist() == [[1, 0, 0]]


def test_a_probe_takes_its_neighbours_from_other_cameras_of_its_place() -> None:
    vectors = unit(np.array([[1, 0.0], [1, 0.1], [1, 0.2], [1, 0.3]]))
    unknown = np.full(4, np.nan)
    camera = np.array([1, 2, UNKNOWN, 1])
    pool = Pool(vectors, np.array([0, 0, 0, 1]), Sighted(camera, unknown), Ranking())

    def found(camera: int, place: int, k: int = 3) -> list[list[int]]:
        seen = Sighted(np.array([camera]), np.array([np.nan]))
        probe = np.array([[1, 0]], dtype=np.float32)
        found = expansion.nearest_elsewhere(pool, probe, np.array([place]), seen, k=k)
        nearest: list[list[int]] = found.nearest.tolist()
        return nearest

    assert found(1, 0) == [[1, 2, NONE]]
    assert found(2, 0) == [[0, 2, NONE]]
    assert found(UNKNOWN, 0) == [[0, 1, 2]]
    assert found(UNKNOWN, 1) == [[3, NONE, NONE]]
    assert found(3, 0, k=6) == [[0, 1, 2, NONE, NONE, NONE]]


@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_gallery_too_small_for_k_has_short_lists(size: int) -> None:
    pool = world(3, 20, timed=False)
    seen = Sighted(pool.seen.camera[:size], pool.seen.times[:size])
    small = Pool(pool.vectors[:size], pool.place[:size], seen, Ranking())
    every = np.arange(size)
    found = expansion.nearest(small, every, k=8)
    assert found.nearest.shape == (size, 8)
    assert (found.nearest != NONE).sum() == size * (size - 1)
    made = expansion.carrying(
        small.vectors, found, small.vectors, Settings(stored=8, probe=5, alpha=3)
    )
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)


def test_equal_images_stay_equal() -> None:
    vectors = np.repeat(unit(np.ones((1, 16))), 30, axis=0)
    nothing = Sighted(np.full(30, UNKNOWN), np.full(30, np.nan))
    pool = Pool(vectors, np.zeros(30, dtype=np.int64), nothing, Ranking())
    found = expansion.nearest(pool, np.arange(30), k=8)
    assert not (found.nearest == np.arange(30)[:, None]).any()
    made = expansion.carrying(vectors, found, vectors, Settings(stored=8, probe=5, alpha=3.0))
    np.testing.assert_allclose(made, vectors, atol=1e-6)
