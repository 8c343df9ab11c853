import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidsearch.ranking import metrics
from reidsearch.types import Labels


def labels(identity: list[int], camera: list[int]) -> Labels:
    return Labels(np.array(identity), np.array(camera))


def ranks_of(distances: list[float], probe: Labels, gallery: Labels) -> list[int]:
    (ranks,) = metrics.positive_ranks(np.array([distances]), probe, gallery)
    return [int(rank) for rank in ranks]


def test_hits_at_ranks_1_3_and_5_give_the_values_worked_out_by_hand() -> None:
    scores = metrics.per_probe([np.array([0, 2, 4])])
    # plain: (1/1 + 2/3 + 3/5) / 3
    assert scores.ap[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-15)
    # trapezoid: halves of (1 + 1/1), (1/2 + 2/3), (2/4 + 3/5)
    by_hand = ((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2 + (2 / 4 + 3 / 5) / 2) / 3
    assert scores.ap_trapezoid[0] == pytest.approx(by_hand, abs=1e-15)
    assert scores.inp[0] == pytest.approx(3 / 5, abs=1e-15)


def test_a_perfect_ranking_scores_one_in_everything() -> None:
    scores = metrics.per_probe([np.arange(4), np.arange(1)]).summary()
    assert (scores.mAP, scores.mAP_trapezoid, scores.mINP) == (1.0, 1.0, 1.0)
    assert scores.cmc == {1: 1.0, 5: 1.0, 10: 1.0, 20: 1.0}


def test_cmc_counts_probes_whose_first_hit_is_within_the_rank() -> None:
    none = np.empty(0, dtype=np.int64)  # a probe without a positive does not count
    probes = metrics.per_probe([np.array([0]), np.array([4]), none, np.array([5]), np.array([30])])
    assert probes.summary().cmc == {1: 0.25, 5: 0.5, 10: 0.75, 20: 0.75}
    assert probes.cmc(6).tolist() == [0.25, 0.25, 0.25, 0.25, 0.5, 0.75]


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
    scores = metrics.per_probe(ranks)
    assert scores.counted.tolist() == [True, False]
    assert scores.summary().queries == 1
    assert scores.summary().mAP == 1.0


def test_no_probe_with_a_positive_is_an_error() -> None:
    with pytest.raises(ValueError, match="no probe"):
        metrics.per_probe([np.empty(0, dtype=np.int64)]).summary()


def test_nan_and_ill_shaped_distances_are_errors() -> None:
    probe, gallery = labels([1], [1]), labels([1, 2], [2, 2])
    with pytest.raises(ValueError, match="NaN"):
        list(metrics.positive_ranks(np.array([[np.nan, 0.1]]), probe, gallery))
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        list(metrics.positive_ranks(np.zeros((1, 3)), probe, gallery))


def test_a_gallery_of_positives_alone_ranks_them_all_and_of_none_gives_nothing() -> None:
    probe = labels([4], [1])
    assert ranks_of([0.3, 0.1, 0.2], probe, labels([4, 4, 4], [2, 3, 2])) == [0, 1, 2]
    assert ranks_of([0.3, 0.1, 0.2], probe, labels([4, 4, 4], [1, 1, 1])) == []
    assert ranks_of([], probe, labels([], [])) == []


def test_infinite_distances_rank_last_in_gallery_order() -> None:
    probe, gallery = labels([1], [1]), labels([2, 1, 1, 3], [2, 2, 2, 2])
    assert ranks_of([np.inf, np.inf, -np.inf, 0.0], probe, gallery) == [0, 3]


def slow_ranks(
    row: np.ndarray, identity: int, camera: int, gallery: Labels, *, other_cameras_only: bool
) -> list[int]:
    """The protocol word by word: sort everything, drop, count."""
    if identity == -1:  # a junk probe: whom it shows is not known
        return []
    order = sorted(range(len(row)), key=lambda g: (row[g], g))
    kept = []
    for g in order:
        if gallery.identity[g] == -1:
            continue
        if gallery.camera[g] == camera and (gallery.identity[g] == identity or other_cameras_only):
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


@settings(max_examples=200)
@given(st.data(), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_every_number_equals_a_slow_obvious_reference(
    data: st.DataObject, dtype: type, other_cameras_only: bool
) -> None:
    size = data.draw(st.integers(1, 60))
    people = data.draw(st.integers(1, 4))  # 1: every gallery image may be a positive
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    levels = data.draw(st.integers(1, 20))  # few levels: many ties; one: all equal
    distances: np.ndarray = (rng.integers(0, levels, (7, size)) / levels).astype(dtype)
    gallery = Labels(rng.integers(-1, people, size), rng.integers(1, 3, size))
    probes = Labels(rng.integers(-1, people + 1, 7), rng.integers(1, 3, 7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "CELLS", data.draw(st.sampled_from([1, 3 * size, 100 * size])))
        found = list(
            metrics.positive_ranks(
                distances, probes, gallery, other_cameras_only=other_cameras_only
            )
        )
    scores = metrics.per_probe(found)
    for n, (row, identity, camera) in enumerate(
        zip(distances, probes.identity, probes.camera, strict=True)
    ):
        expected = slow_ranks(row, identity, camera, gallery, other_cameras_only=other_cameras_only)
        assert found[n].tolist() == expected
        assert scores.counted[n] == bool(expected)
        if expected:
            assert scores.first[n] == expected[0]
            assert scores.ap[n] == pytest.approx(slow_ap(expected, trapezoid=False), abs=1e-12)
            assert scores.ap_trapezoid[n] == pytest.approx(
                slow_ap(expected, trapezoid=True), abs=1e-12
            )
            assert scores.inp[n] == pytest.approx(len(expected) / (expected[-1] + 1), abs=1e-15)
        else:
            assert np.isnan([scores.ap[n], scores.ap_trapezoid[n], scores.inp[n]]).all()


def test_precision_over_recall_follows_each_probe_down_to_the_positive_that_completes_a_part() -> (
    None
):
    ranks = [np.array([0, 3]), np.array([1, 2, 4, 9]), np.array([], dtype=np.int64)]
    quarters = metrics.precision_recall(ranks, steps=4)
    one, two = [1 / 1, 1 / 1, 2 / 4, 2 / 4], [1 / 2, 2 / 3, 3 / 5, 4 / 10]
    assert quarters == pytest.approx([(a + b) / 2 for a, b in zip(one, two, strict=True)])
    # Four divides both numbers of positives: the curve's mean is mAP itself.
    assert quarters.mean() == pytest.approx(metrics.per_probe(ranks).summary().mAP)
    with pytest.raises(ValueError, match="no probe has a positive"):
        metrics.precision_recall(ranks[2:])
