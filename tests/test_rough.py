"""Rough copies of vectors: how far off they are at most."""

import numpy as np
import pytest

from reidsearch.ranking.rough import Rough
from tests.test_expansion import unit


@pytest.mark.parametrize("dimension", [1, 3, 64, 960])
def test_no_cosine_is_farther_off_than_a_copy_says(dimension: int) -> None:
    random = np.random.default_rng(dimension)
    vectors = unit(random.normal(size=(200, dimension)) ** 3)
    probes = np.concatenate([unit(random.normal(size=(50, dimension))), vectors[:50]])
    rough = Rough.of(vectors)
    off = np.abs(rough.cosines(probes) - probes.astype(np.float64) @ vectors.T.astype(np.float64))
    assert (off <= rough.error).all()
    assert rough.error.max() < 0.05  # and what it says is worth something


def test_the_probe_that_a_copy_misses_most_is_within_what_it_says() -> None:
    """Along what the copy lacks: there the bound is reached."""
    random = np.random.default_rng(0)
    vectors = unit(random.normal(size=(40, 96)))
    rough = Rough.of(vectors)
    lacking = vectors - rough.codes * rough.step[:, None]
    worst = np.einsum("nd,nd->n", unit(lacking), lacking)
    assert (worst <= rough.error).all()
    assert (worst > 0.9 * rough.error).all()


def test_a_copy_is_the_same_whatever_is_copied_beside_it() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(30, 50)))
    whole = Rough.of(vectors)
    for rows in (np.arange(3), np.arange(7, 30, 4)):
        some = Rough.of(vectors[rows])
        np.testing.assert_array_equal(some.codes, whole.codes[rows])
        np.testing.assert_array_equal(some.step, whole.step[rows])
        np.testing.assert_array_equal(some.error, whole.error[rows])
    assert len(Rough.of(vectors[:0])) == 0
    np.testing.assert_array_equal(Rough.of(np.zeros((1, 5), dtype=np.float32)).codes, 0)
