"""What numpy lacks."""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]


def ranges(starts: Integers, counts: Integers) -> NDArray[np.int64]:
    """The numbers from each start on, as many as its count says, one range after the other."""
    ends = np.cumsum(counts)
    found: NDArray[np.int64] = np.repeat(starts - (ends - counts), counts)
    found += np.arange(len(found))
    return found


def groups(keys: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """The positions of each key, ascending; keys ascend too."""
    order = np.argsort(keys, kind="stable")
    names, first = np.unique(keys[order], return_index=True)
    # Without keys np.split gives one empty part all the same.
    return dict(zip(names.tolist(), np.split(order, first[1:]), strict=False))
