import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reidsearch.ranking.arrays import groups, ranges


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 5))))
def test_ranges_are_those_of_python_one_after_the_other(pairs: list[tuple[int, int]]) -> None:
    starts, counts = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    expected = [number for start, count in pairs for number in range(start, start + count)]
    assert ranges(starts, counts).tolist() == expected


@given(st.lists(st.integers(-3, 3)))
def test_groups_are_the_positions_of_each_key(keys: list[int]) -> None:
    found = groups(np.array(keys, dtype=np.int64))
    assert list(found) == sorted(set(keys))
    for key, positions in found.items():
        assert positions.tolist() == [at for at, other in enumerate(keys) if other == key]
