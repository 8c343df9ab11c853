"""Re-ranking: against the paper's definitions, written out slowly over whole matrices."""

import numpy as np
import pytest

from reidsearch.ranking import knn, rerank


def unit(count: int, *, people: int, seed: int, spread: float = 0.6) -> np.ndarray:
    """Vectors around some centres, so that there are neighbours to speak of."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 16))
    vectors = centres[rng.integers(0, people, count)] + spread * rng.normal(size=(count, 16))
    lengths: np.ndarray = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


def slowly(
    probes: np.ndarray, gallery: np.ndarray, *, k1: int, k2: int, weight: float
) -> np.ndarray:
    """Section 3 of the paper, set by set."""
    vectors = np.concatenate([probes, gallery]).astype(np.float64)
    size = len(vectors)
    distance = np.maximum(2 - 2 * vectors @ vectors.T, 0)
    distance /= distance.max(axis=1, keepdims=True)  # row i by image i's largest
    ranking = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in ranking[i, : k + 1].tolist() if i in ranking[j, : k + 1].tolist()}

    encoded = np.zeros((size, size))
    for i in range(size):
        neighbours = reciprocal(i, k1)
        expanded = set(neighbours)
        for j in neighbours:
            theirs = reciprocal(j, round(k1 / 2))
            if len(theirs & neighbours) > 2 / 3 * len(theirs):
                expanded |= theirs
        members = sorted(expanded)
        encoded[i, members] = np.exp(-distance[i, members])
        encoded[i] /= encoded[i].sum()
    encoded = np.stack([encoded[ranking[i, :k2]].mean(axis=0) for i in range(size)])

    out = np.empty((len(probes), len(gallery)))
    for i in range(len(probes)):
        for g in range(len(gallery)):
            shared = np.minimum(encoded[i], encoded[len(probes) + g]).sum()
            jaccard = 1 - shared / (2 - shared)
            out[i, g] = (1 - weight) * jaccard + weight * distance[i, len(probes) + g]
    return out


def test_jaccard_distances_are_those_of_re_ranking_without_the_original_ones() -> None:
    vectors = unit(90, people=8, seed=5)
    alone = np.stack(list(rerank.jaccard(vectors, k1=7, k2=3)))
    expected = slowly(vectors[:1], vectors[1:], k1=7, k2=3, weight=0.0)
    np.testing.assert_allclose(alone[:1, 1:], expected, atol=1e-5)
    blocks = rerank.rerank(vectors[:40], vectors[40:], k1=7, k2=3, weight=0.0)
    np.testing.assert_allclose(alone[:40, 40:], np.concatenate(list(blocks)), atol=1e-6)
    np.testing.assert_allclose(alone, alone.T, atol=1e-6)


@pytest.mark.parametrize(
    ("k1", "k2", "weight"), [(20, 6, 0.3), (5, 2, 0.0), (8, 1, 0.5), (3, 3, 1.0)]
)
def test_distances_are_those_of_the_papers_definitions(k1: int, k2: int, weight: float) -> None:
    # Several blocks of each, the last not full.
    few = rerank.AtOnce(probes=17, images=23, marks=700, pairs=50)
    vectors = unit(140, people=12, seed=k1)
    probes, gallery = vectors[:30], vectors[30:]
    blocks = list(rerank.rerank(probes, gallery, k1=k1, k2=k2, weight=weight, at_once=few))
    assert [len(block) for block in blocks] == [17, 13]
    expected = slowly(probes, gallery, k1=k1, k2=k2, weight=weight)
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=1e-5)


def test_a_weight_of_one_keeps_the_order_of_the_cosine() -> None:
    vectors = unit(60, people=6, seed=1)
    (block,) = rerank.rerank(vectors[:5], vectors[5:], weight=1.0)
    cosines = vectors[:5] @ vectors[5:].T
    assert np.array_equal(np.argsort(block, axis=1), np.argsort(-cosines, axis=1))


def test_fewer_images_than_neighbours_are_all_neighbours() -> None:
    vectors = unit(7, people=2, seed=2)
    (block,) = rerank.rerank(vectors[:2], vectors[2:])
    expected = slowly(vectors[:2], vectors[2:], k1=rerank.K1, k2=rerank.K2, weight=rerank.LAMBDA)
    np.testing.assert_allclose(block, expected, atol=1e-5)


@pytest.mark.parametrize("count", [3, 15, 21, 22, 150])
def test_one_probe_gets_from_kept_neighbours_what_it_gets_from_scratch(count: int) -> None:
    vectors = unit(count + 3, people=1 + count // 8, seed=count)
    gallery = vectors[3:]
    kept = knn.k_nearest(gallery, k=rerank.K1 + 1)
    for probe in (vectors[:1], vectors[1:2], vectors[2:3]):
        asked: list[int] = []

        def fetch(positions: np.ndarray, asked: list[int] = asked) -> np.ndarray:
            asked.extend(positions.tolist())
            return np.asarray(gallery[positions])

        cosines = (gallery @ probe.T)[:, 0]
        found = rerank.rerank_one(probe, cosines, kept, fetch)
        (scratch,) = rerank.rerank(probe, gallery)
        np.testing.assert_allclose(found, scratch[0], atol=1e-5)
        expected = slowly(probe, gallery, k1=rerank.K1, k2=rerank.K2, weight=rerank.LAMBDA)
        np.testing.assert_allclose(found, expected[0], atol=1e-5)
        # A few vectors settle what the kept cosines leave open; where all are near, none.
        assert bool(asked) == (count > rerank.K1)


def test_sparse_rows_add_up_what_falls_on_one_place() -> None:
    rows, columns = np.array([2, 0, 2, 2]), np.array([1, 0, 1, 2])
    made = rerank.Sparse.from_pairs(rows, columns, np.array([1.0, 2.0, 3.0, 4.0]), shape=(3, 3))
    assert made.starts.tolist() == [0, 1, 1, 3]
    assert made.columns.tolist() == [0, 1, 2]
    assert made.values.tolist() == [2, 4, 4]
    turned = made.transposed(width=3)
    assert turned.starts.tolist() == [0, 1, 2, 3]
    assert turned.columns.tolist() == [0, 2, 2]
    positions, counts = made.take(np.array([2, 1, 0]))
    assert positions.tolist() == [1, 2, 0]
    assert counts.tolist() == [2, 0, 1]
