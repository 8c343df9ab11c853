from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidsearch import metrics
from reidsearch.types import Labels


def labels(identity: list[int], camera: list[int]) -> Labels:
    return Labels(np.array(identity), np.array(camera))


def ranks_of(distances: list[float], probe: Labels, gallery: Labels) -> list[int]:
    (ranks,) = metrics.positive_ranks(np.array([distances]), probe, gallery)
    return [int(rank) for rank in ranks]


def test_hits_at_ranks_1_3_and_5_give_the_values_worked_out_by_hand() -> None:
    ranks = np.array([0, 2, 4])
    # plain: (1/1 + 2/3 + 3/5) / 3
    assert metrics.average_precision(ranks) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-15)
    # trapezoid: halves of (1 + 1/1), (1/2 + 2/3), (2/4 + 3/5)
    by_hand = ((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2 + (2 / 4 + 3 / 5) / 2) / 3
    assert metrics.average_precision_trapezoid(ranks) == pytest.approx(by_hand, abs=1e-15)
    assert metrics.inverse_negative_penalty(ranks) == pytest.approx(3 / 5, abs=1e-15)


def test_a_perfect_ranking_scores_one_in_everything() -> None:
    scores = metrics.score([np.arange(4), np.arange(1)])
    assert (scores.mAP, scores.mAP_trapezoid, scores.mINP) == (1.0, 1.0, 1.0)
    assert scores.cmc == {1: 1.0, 5: 1.0, 10: 1.0, 20: 1.0}


def test_cmc_counts_probes_whose_first_hit_is_within_the_rank() -> None:
    scores = metrics.score([np.array([0]), np.array([4]), np.array([5]), np.array([30])])
    assert scores.cmc == {1: 0.25, 5: 0.5, 10: 0.75, 20: 0.75}


def test_same_camera_positives_and_junk_leave_the_ranking_and_distractors_stay() -> None:
    probe = labels([7], [1])
    #                same camera, junk, distractor, positive, other
    gallery = labels([7, -1, 0, 7, 3], [1, 2, 2, 2, 1])
    assert ranks_of([0.1, 0.2, 0.3, 0.4, 0.5], probe, gallery) == [1]


def test_equal_distances_rank_in_gallery_order() -> None:
    probe, gallery = labels([1], [1]), labels([2, 1, 2, 1], [2, 2, 2, 2])
    assert ranks_of([0.5, 0.5, 0.5, 0.5], probe, gallery) == [1, 3]


def test_a_probe_without_positive_is_left_out_of_the_averages() -> None:
    probes, gallery = labels([1, 9], [1, 1]), labels([1, 2], [2, 2])
    ranks = list(metrics.positive_ranks(np.array([[0.1, 0.2], [0.1, 0.2]]), probes, gallery))
    assert [r.tolist() for r in ranks] == [[0], []]
    assert metrics.score(ranks).queries == 1


def test_no_probe_with_a_positive_is_an_error() -> None:
    with pytest.raises(ValueError, match="no probe"):
        metrics.score([np.empty(0, dtype=np.int64)])


def test_nan_and_ill_shaped_distances_are_errors() -> None:
    probe, gallery = labels([1], [1]), labels([1, 2], [2, 2])
    with pytest.raises(ValueError, match="NaN"):
        list(metrics.positive_ranks(np.array([[np.nan, 0.1]]), probe, gallery))
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        list(metrics.positive_ranks(np.zeros((1, 3)), probe, gallery))


def slow_ranks(row: np.ndarray, identity: int, camera: int, gallery: Labels) -> list[int]:
    """The protocol word by word: sort everything, drop, count."""
    order = sorted(range(len(row)), key=lambda g: (row[g], g))
    kept = []
    for g in order:
        if gallery.identity[g] == -1:
            continue
        if gallery.identity[g] == identity and gallery.camera[g] == camera:
            continue
        kept.append(g)
    return [rank for rank, g in enumerate(kept) if gallery.identity[g] == identity]


def slow_ap(ranks: list[int], *, trapezoid: bool) -> float:
    """Walk down the ranking, as the MATLAB code does."""
    total, hits, recall, precision = 0.0, 0, 0.0, 1.0
    for position in range(ranks[-1] + 1):
        if position in ranks:
            hits += 1
        new_recall, new_precision = hits / len(ranks), hits / (position + 1)
        height = (precision + new_precision) / 2 if trapezoid else new_precision
        total += (new_recall - recall) * height
        recall, precision = new_recall, new_precision
    return total


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_ranks_and_ap_equal_a_slow_obvious_reference(
    data: st.DataObject, dtype: Callable[[object], np.ndarray]
) -> None:
    size = data.draw(st.integers(1, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    levels = data.draw(st.integers(1, 20))  # few levels: many ties
    distances = rng.integers(0, levels, (3, size)).astype(dtype) / levels  # type: ignore[call-overload]
    gallery = Labels(rng.integers(-1, 4, size), rng.integers(1, 3, size))
    probes = labels([1, 2, 3], [1, 2, 1])
    for row, identity, camera, ranks in zip(
        distances,
        probes.identity,
        probes.camera,
        metrics.positive_ranks(distances, probes, gallery),
        strict=True,
    ):
        expected = slow_ranks(row, identity, camera, gallery)
        assert ranks.tolist() == expected
        if expected:
            assert metrics.average_precision(ranks) == pytest.approx(
                slow_ap(expected, trapezoid=False), abs=1e-12
            )
            assert metrics.average_precision_trapezoid(ranks) == pytest.approx(
                slow_ap(expected, trapezoid=True), abs=1e-12
            )
