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
