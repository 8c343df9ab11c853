"""Pairs of images that show one person: known ones, and those that are each other's nearest."""

import numpy as np

from reidsearch.ranking import pairs


def test_known_pairs_are_of_one_person_and_two_cameras() -> None:
    identity = np.array([7, 0, 7, -1, 7, 0, 8])
    camera = np.array([1, 1, 2, 2, 1, 2, 1])
    found = {tuple(sorted(pair)) for pair in pairs.known_pairs(identity, camera).tolist()}
    assert found == {(0, 2), (2, 4)}


def test_mutual_pairs_are_each_others_nearest_between_two_cameras() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    camera = rng.integers(1, 4, 60)

    def nearest(image: int, other: int) -> int:
        there = [j for j in range(60) if camera[j] == other]
        return max(there, key=lambda j: float(vectors[image] @ vectors[j]))

    expected = {
        (i, nearest(i, b))
        for i in range(60)
        for b in (1, 2, 3)
        if b > camera[i] and nearest(nearest(i, b), int(camera[i])) == i
    }
    found = pairs.mutual_pairs(vectors, camera, at_once=7)
    assert {tuple(pair) for pair in found.tolist()} == expected
    assert len(expected) > 10
