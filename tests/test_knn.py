"""Each image's nearest: against a full sort of exact cosines."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from reidsearch.ranking import knn


@given(
    size=st.integers(1, 120),
    distinct=st.integers(1, 120),
    k=st.integers(1, 9),
    block=st.integers(5, 40),
    seed=st.integers(0, 1000),
)
@example(size=120, distinct=1, k=2, block=7, seed=0)  # all equal
@example(size=120, distinct=120, k=1, block=7, seed=0)
def test_neighbours_are_those_of_a_full_sort(
    size: int, distinct: int, k: int, block: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    # Sixteen quarters, each plus or minus: of unit length, and cosines are exact, with many ties.
    some = rng.choice(np.array([-0.25, 0.25], dtype=np.float32), (distinct, 16))
    vectors = some[np.sort(rng.integers(0, distinct, size))]
    cosines = vectors @ vectors.T
    found = knn.k_nearest(vectors, k=k, at_once=block)
    few = rng.permutation(size)[:11]
    found_of_few = knn.k_nearest(vectors, of=few, k=k, at_once=block)
    expected = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    assert found.nearest.tolist() == expected.tolist()
    assert found.cosines.tolist() == np.take_along_axis(cosines, expected, axis=1).tolist()
    assert found.least.tolist() == cosines.min(axis=1).tolist()
    for name in ("nearest", "cosines", "least"):
        of_few, of_all = getattr(found_of_few, name), getattr(found, name)
        assert of_few.tolist() == of_all[few].tolist()
    every = np.arange(size)
    mutual = found.mutual(every, min(k, size), at_once=block)
    lists = [set(row) for row in expected.tolist()]
    assert mutual.tolist() == [[one in lists[other] for other in expected[one]] for one in every]
