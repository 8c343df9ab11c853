"""Distributions of scores: thresholds and rates worked out by hand."""

import numpy as np
import pytest

from reidsearch.ranking.arrays import to_npz
from reidsearch.ranking.scores import ScoreDistribution


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


def test_a_distribution_comes_back_from_its_bytes() -> None:
    found = distribution()
    again = ScoreDistribution.from_bytes(found.to_bytes())
    assert again.same.tolist() == found.same.tolist()
    assert again.different.tolist() == found.different.tolist()


def test_an_archive_of_an_earlier_version_comes_back() -> None:
    found = distribution()
    again = ScoreDistribution.from_bytes(to_npz(same=found.same, different=found.different))
    assert not again.by_times
    assert again.threshold(0.1) == found.threshold(0.1)
