"""What pictures look like in numbers: how bright, how sharp, and which are nearly the same."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reidsearch.ranking.arrays import groups

SIZE = (128, 64)  # height, width at which pictures are compared
HASHED = (8, 9)  # height, width of the picture that a difference hash is made of
NEAR = 3  # bits in which the hashes of near-duplicates may differ
BANDS = 4  # parts of a hash; two that differ in NEAR bits agree in one of BANDS > NEAR

Hashes = NDArray[np.uint64]  # N
Grey = NDArray[np.uint8]  # N x H x W
Values = NDArray[np.float32]  # N


def sharpness(grey: Grey) -> Values:
    """The variance of each picture's Laplacian (Pech-Pacheco et al. 2000): small where it is
    blurred."""
    x = grey.astype(np.int16)
    middle = x[:, 1:-1, 1:-1]
    found = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * middle
    return np.asarray(found.var(axis=(1, 2), dtype=np.float32))


def brightness(grey: Grey) -> Values:
    """The mean of each picture, 0 to 255."""
    return np.asarray(grey.mean(axis=(1, 2), dtype=np.float32))


def difference_hash(small: Grey) -> Hashes:
    """A hash of 64 bits for each small picture (N x 8 x 9): is each pixel darker than the one right
    of it? Krawetz 2013, "Kind of like that"."""
    bits = small[:, :, :-1] < small[:, :, 1:]
    packed = np.packbits(bits.reshape(len(small), 64), axis=1)
    return np.ascontiguousarray(packed).view(np.uint64).reshape(-1)


class Pairs(NamedTuple):
    """Positions of two pictures each: ``first`` and ``second``, both P."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]


def near_pairs(hashes: Hashes) -> Pairs:
    """The pairs among these different hashes that differ in at most NEAR bits.

    Such two agree in one of BANDS bands whole, so that only those with a band in common are
    compared: neighbours in the order of that band, at growing distance, until none has it in
    common.
    """
    bands = hashes.view(np.uint16).reshape(-1, BANDS)
    found = [np.empty((0, 2), dtype=np.int64)]
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        keys, values = band[order], hashes[order]
        left, step = np.arange(len(order)), 1
        while len(left):
            left = left[left + step < len(order)]
            left = left[keys[left] == keys[left + step]]
            near = left[np.bitwise_count(values[left] ^ values[left + step]) <= NEAR]
            found.append(np.stack([order[near], order[near + step]], axis=1))
            step += 1
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    return Pairs(pairs[:, 0], pairs[:, 1])


def near_duplicates(hashes: Hashes) -> list[NDArray[np.int64]]:
    """Groups of pictures (positions, ascending) whose hashes are equal or differ in at most NEAR
    bits from another one's in the group; the largest first."""
    unique, which = np.unique(hashes, return_inverse=True)
    pairs = near_pairs(unique)
    label = np.arange(len(unique))
    while True:  # each takes the least label among its own and its neighbours', until none changes
        before = label.copy()
        np.minimum.at(label, pairs.first, before[pairs.second])
        np.minimum.at(label, pairs.second, before[pairs.first])
        label = label[label]
        if np.array_equal(label, before):
            break
    found = [rows for rows in groups(label[which]).values() if len(rows) > 1]
    return sorted(found, key=lambda rows: (-len(rows), int(rows[0])))
