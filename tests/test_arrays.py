import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reidsearch.ranking.arrays import from_npz, groups, ranges, to_npz


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


def test_arrays_come_back_from_their_bytes_as_they_were() -> None:
    saved: dict[str, NDArray[Any]] = {
        "whole": np.arange(6).reshape(2, 3),
        "half": np.array([0.5, np.nan], dtype=np.float32),
        "text": np.array("frames"),
        "none": np.empty((0, 2), dtype=np.int64),
    }
    again = from_npz(to_npz(**saved))
    assert list(again) == list(saved)
    for name, array in saved.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        assert again[name].tobytes() == array.tobytes()


def test_bytes_that_were_compressed_can_be_read_and_pickles_cannot() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, counts=np.arange(5))
    assert from_npz(buffer.getvalue())["counts"].tolist() == [0, 1, 2, 3, 4]
    pickled = to_npz(objects=np.array([{"an": "object"}]))
    with pytest.raises(ValueError, match="allow_pickle"):
        from_npz(pickled)
