"""Camera means against closed forms, and what they must never do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reidsearch.ranking import camera_means
from reidsearch.ranking.camera_means import MOST, PRIOR, CameraMeans
from reidsearch.types import UNKNOWN, Ids, Vectors


def unit(vectors: NDArray[np.floating]) -> Vectors:
    made: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return made


def world(seed: int = 0, size: int = 600) -> tuple[Vectors, Ids]:
    """Images from cameras 3, 5 and 9, each of which moves and stretches its vectors, and some from
    an unknown camera."""
    rng = np.random.default_rng(seed)
    camera = rng.choice([3, 5, 9, UNKNOWN], size, p=[0.5, 0.3, 0.1, 0.1])
    moved = {UNKNOWN: 0, 3: -0.3, 5: 0.1, 9: 0.2}
    shift = np.array([moved[one] for one in camera.tolist()])[:, None]
    stretch = np.array([1 + 0.1 * (one % 3) for one in camera.tolist()])[:, None]
    return unit(0.5 + shift * [1, 0, -1, 1, 0, 1] + stretch * rng.normal(0, 0.3, (size, 6))), camera


def expected(vectors: Vectors, camera: Ids, of: Vectors, at: int) -> NDArray[np.float64]:
    """The formula, one camera at a time, in double precision."""
    known = camera != UNKNOWN
    overall = vectors.astype(np.float64).mean(axis=0)
    own = {int(c): vectors[camera == c].astype(np.float64) for c in np.unique(camera[known])}
    spread = sum(len(v) * v.var(axis=0) for v in own.values()) / known.sum()
    count = len(own[at]) / (len(own[at]) + PRIOR)
    mean = count * own[at].mean(axis=0) + (1 - count) * overall
    variance = count * own[at].var(axis=0) + (1 - count) * spread
    made = (of - mean) * np.clip(np.sqrt(spread / variance), 1 / MOST, MOST) + overall
    found: NDArray[np.float64] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return found


def test_vectors_come_out_as_the_formula_says() -> None:
    vectors, camera = world()
    learned = camera_means.learn(vectors, camera)
    assert learned.camera.tolist() == [3, 5, 9]
    assert learned.images.tolist() == [int((camera == one).sum()) for one in (3, 5, 9)]
    found = learned.adapted(vectors, camera)
    for one in (3, 5, 9):
        rows = camera == one
        np.testing.assert_allclose(
            found[rows], expected(vectors, camera, vectors[rows], one), atol=1e-6
        )
        assert np.abs(found[rows] - vectors[rows]).max() > 0.01
    np.testing.assert_array_equal(found[camera == UNKNOWN], vectors[camera == UNKNOWN])


def test_with_many_images_all_cameras_have_the_mean_and_spread_of_all() -> None:
    rng = np.random.default_rng(1)
    camera = np.repeat([1, 2], 50_000)
    vectors = rng.normal(0, 0.02, (100_000, 4)) + np.where(camera == 1, 0.4, 0.6)[:, None]
    vectors[camera == 2] += rng.normal(0, 0.01, (50_000, 4))
    learned = camera_means.learn(vectors.astype(np.float32), camera)
    moved = [vectors[camera == one] * learned.scale[at] + learned.offset[at]
             for at, one in enumerate((1, 2))]  # fmt: skip
    np.testing.assert_allclose(moved[0].mean(axis=0), moved[1].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(moved[0].mean(axis=0), vectors.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(moved[0].std(axis=0), moved[1].std(axis=0), rtol=1e-2)


def test_a_camera_with_few_images_is_hardly_touched() -> None:
    vectors, camera = world()
    few = np.concatenate([np.flatnonzero(camera == 3), np.flatnonzero(camera == 9)[:2]])
    learned = camera_means.learn(vectors[few], camera[few])
    plain = vectors[few][-2:]
    assert (learned.adapted(plain, camera[few][-2:]) * plain).sum(axis=1).min() > 0.999
    # With its own mean taken out whole, each of two images would be the other's opposite.


@pytest.mark.parametrize("camera", [7, UNKNOWN])
def test_a_gallery_of_one_camera_stays_as_it_is(camera: int) -> None:
    vectors, _ = world()
    same = np.full(len(vectors), camera)
    found = camera_means.learn(vectors, same).adapted(vectors, same)
    np.testing.assert_allclose(found, vectors, atol=1e-6)


def test_a_camera_that_nothing_was_learned_of_stays_as_it_is() -> None:
    vectors, camera = world()
    learned = camera_means.learn(vectors, camera)
    for one in (1, 4, 10, UNKNOWN):
        found = learned.adapted(vectors[:5], np.full(5, one))
        np.testing.assert_array_equal(found, vectors[:5])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000])
def test_equal_images_stay_equal_and_keep_their_direction(size: int) -> None:
    vectors = np.repeat(unit(np.arange(1.0, 7.0)[None]), size, axis=0)
    camera = np.arange(size) % 2 + 1
    found = camera_means.learn(vectors, camera).adapted(vectors, camera)
    np.testing.assert_allclose(found, vectors, atol=1e-6)


def test_a_vector_of_which_nothing_would_be_left_is_kept() -> None:
    vectors, camera = unit(np.array([[1, 2, 2], [2, 1, 2]])), np.array([4, 4])
    ones = np.ones((1, 3), dtype=np.float32)
    learned = CameraMeans(np.array([4]), np.array([2]), ones, -vectors[:1])
    found = learned.adapted(vectors, camera)
    assert found[0].tolist() == vectors[0].tolist()
    np.testing.assert_allclose(found[1], unit(vectors[1:] - vectors[:1])[0], atol=1e-6)


@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 40),
    kinds=st.integers(1, 3),
    rows=st.lists(st.integers(0, 39), min_size=1, max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_vectors_are_of_unit_length_and_depend_on_no_others(
    seed: int, size: int, kinds: int, rows: list[int]
) -> None:
    """Also where numbers are the same in all of a camera's images, and opposite in another's."""
    rng = np.random.default_rng(seed)
    vectors = unit(rng.choice([-1.0, 1.0], (kinds, 4)) + 0.1)[rng.integers(0, kinds, size)]
    camera = rng.choice([1, 2, 3, UNKNOWN], size)
    learned = camera_means.learn(vectors, camera)
    found = learned.adapted(vectors, camera)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    some = np.array([row for row in rows if row < size], dtype=np.int64)
    assert learned.adapted(vectors[some], camera[some]).tolist() == found[some].tolist()


def test_means_are_outgrown_at_twice_the_images() -> None:
    def learned_of(count: int) -> CameraMeans:
        return camera_means.learn(unit(np.ones((count, 2))), np.full(count, 1))

    assert not learned_of(100).outgrown(np.full(299, 1))
    assert learned_of(100).outgrown(np.full(300, 1))
    assert not learned_of(300).outgrown(np.full(101, 1))
    assert learned_of(300).outgrown(np.full(100, 1))
    new = np.concatenate([np.full(99, 2), np.full(100, 1)])
    assert not learned_of(100).outgrown(new)
    assert learned_of(100).outgrown(np.append(new, 2))
    assert not learned_of(100).outgrown(np.concatenate([new, np.full(1000, UNKNOWN)]))


def test_means_come_back_from_bytes_and_the_same_are_the_same_bytes() -> None:
    vectors, camera = world()
    learned = camera_means.learn(vectors, camera)
    again = CameraMeans.from_bytes(learned.to_bytes())
    assert again.to_bytes() == learned.to_bytes()
    assert camera_means.learn(vectors.copy(), camera.copy()).to_bytes() == learned.to_bytes()
    np.testing.assert_array_equal(again.adapted(vectors, camera), learned.adapted(vectors, camera))
    nothing = CameraMeans.from_bytes(CameraMeans.nothing().to_bytes())
    np.testing.assert_array_equal(nothing.adapted(vectors, camera), vectors)
