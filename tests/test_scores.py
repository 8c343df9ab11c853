"""Distributions of scores: thresholds and rates worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from reidsearch.ranking.arrays import to_npz
from reidsearch.ranking.scores import Crowds, ScoreDistribution, crowds


def distribution() -> ScoreDistribution:
    """1,000 pairs of different people at 0.0005, 0.0015, ... 0.9995; 4 of one person."""
    different = (np.arange(1000) + 0.5) / 1000
    same = np.array([0.3, 0.95, 0.5, 0.9])
    blocks = []
    for scores, known in ((different, False), (same, True)):
        is_same = np.full(len(scores), known)
        blocks.append((scores, is_same, ~is_same))
    return ScoreDistribution.of(blocks)


def test_a_threshold_is_reached_by_at_most_the_rate_of_different_pairs() -> None:
    found = distribution()
    assert found.threshold(0.1) == pytest.approx(0.9)  # 100 of the 1,000 lie beyond
    assert found.threshold(0.5) == pytest.approx(0.5)
    assert found.threshold(0.01) == pytest.approx(0.99)
    assert found.threshold(0.009) is None  # fewer than ten pairs would tell


def test_the_spread_is_the_standard_deviation_of_different_pairs() -> None:
    uniform = 1 / np.sqrt(12)  # of 0 to 1
    assert distribution().spread == pytest.approx(uniform, rel=1e-5)


def test_the_match_rate_is_the_share_of_same_pairs_that_reach_a_score() -> None:
    found = distribution()
    assert found.match_rate(0.6) == 0.5
    assert found.match_rate(0.2) == 1.0
    unknown = ScoreDistribution(np.zeros_like(found.same), found.different)
    assert unknown.match_rate(0.6) is None


def test_scores_beyond_the_bins_count_at_their_ends() -> None:
    scores, no = np.array([-9.0, 9.0]), np.array([False, False])
    found = ScoreDistribution.of([(scores, no, ~no)])
    assert found.different[[0, -1]].tolist() == [1, 1]
    assert found.different.sum() == 2


def test_a_crowd_is_what_comes_after_the_best_ones() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1200.0))[None].repeat(2, axis=0)
    scores[1] += 7
    # Ranks 50 to 199 of 0 ... 1199 are 1000 to 1149.
    assert crowds(scores).tolist() == [1074.5, 1081.5]


def test_thresholds_stand_above_a_probes_own_crowd() -> None:
    different = distribution().different
    known = Crowds.of(different, np.array([0.1, 0.2, 0.3]))
    best = np.linspace(0.9, 0.1, 200)
    above = known.thresholds(best.tolist())
    assert above is not None
    assert above.crowd == pytest.approx(best[50:].mean())
    assert above.threshold(0.1) == pytest.approx(above.crowd + 0.9, abs=1e-3)
    assert above.threshold(0.009) is None
    assert known.thresholds([0.5] * 199) is None


def test_who_is_seen_hundreds_of_times_is_no_crowd_of_strangers() -> None:
    usual = np.array([0.18, 0.19, 0.2, 0.21, 0.22])
    known = Crowds.of(distribution().different, usual)
    assert known.highest == pytest.approx(0.2 + 3 * 1.4826 * 0.01)
    above = known.thresholds([0.95] * 200)
    assert above is not None
    assert above.crowd == known.highest


def test_a_distribution_comes_back_from_its_bytes() -> None:
    found = distribution()
    again = ScoreDistribution.from_bytes(found.to_bytes())
    assert again.same.tolist() == found.same.tolist()
    assert again.different.tolist() == found.different.tolist()
    assert again.crowds is None
    known = replace(found, crowds=Crowds(found.different, 0.25))
    again = ScoreDistribution.from_bytes(known.to_bytes())
    assert again.crowds is not None
    assert again.crowds.beyond.tolist() == found.different.tolist()
    assert again.crowds.highest == 0.25


def test_an_archive_of_an_earlier_version_comes_back() -> None:
    found = distribution()
    again = ScoreDistribution.from_bytes(to_npz(same=found.same, different=found.different))
    assert not again.by_times
    assert again.threshold(0.1) == found.threshold(0.1)
