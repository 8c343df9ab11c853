"""What tells which score means the same person: beside a probe's crowd, where that is known."""

import numpy as np
import pytest

from reidsearch.catalog import StoredImages
from reidsearch.encoding.thresholds import Thresholds
from reidsearch.learning import calibrate
from reidsearch.ranking.ranking import Ranking
from reidsearch.ranking.scores import BINS, CROWD, Crowds, ScoreDistribution, counted
from reidsearch.ranking.transit import Transit
from reidsearch.search.yardstick import FALSE_SHARE, FALSE_SHARE_IN_CROWD, Origin, Yardstick
from reidsearch.types import UNKNOWN, Labels, Vectors

IMAGES = 1200


def of(known: ScoreDistribution) -> Yardstick:
    return Yardstick(Ranking(), None, known, Origin.GALLERY, strict=False)


def strangers() -> ScoreDistribution:
    """100,000 pairs of different people, with scores from 0 to 0.5 and up to 0.25 above a crowd."""
    spread = np.linspace(0, 0.5, 100_000)
    different = counted(spread)
    crowds = Crowds(counted(spread - 0.25), highest=0.4)
    return ScoreDistribution(np.zeros(BINS, dtype=np.int64), different, True, crowds)


def test_a_probe_that_is_like_everybody_has_a_higher_threshold() -> None:
    known = of(strangers())
    chosen = []
    for crowd in (0.1, 0.3):
        scores = [0.9] * 20 + [crowd] * 200
        mark = known.beside(scores)
        assert mark.crowd == pytest.approx(crowd)
        found = mark.choose(scores, [1e-2, 1e-3, 1e-4], gallery=8_000)
        assert found is not None
        chosen.append(found)
        # 20 hits may have 0.8 strangers among them, of 8,000: 1 in 10,000.
        assert found.rate == 1e-4
    assert chosen[1].threshold - chosen[0].threshold == pytest.approx(0.2, abs=2e-3)


def test_without_a_crowd_the_scores_themselves_count_and_more_may_be_expected_to_be_false() -> None:
    mark = of(strangers()).beside([0.9] * 20)  # too few scores for a crowd
    assert mark.crowd is None
    share = [FALSE_SHARE, FALSE_SHARE_IN_CROWD]
    rates = [one * 20 / 10_000 for one in share]
    found = mark.choose([0.9] * 20, rates, gallery=10_000)
    assert found is not None
    assert found.rate == rates[0]


def test_crowds_are_learned_from_all_scores_of_each_sampled_image() -> None:
    random = np.random.default_rng(1)
    vectors: Vectors = random.normal(size=(IMAGES, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    camera = random.integers(1, 3, IMAGES)
    unknown = np.full(IMAGES, UNKNOWN)
    stored = StoredImages(
        ids=np.arange(IMAGES),
        dataset=np.zeros(IMAGES, dtype=np.int64),
        labels=Labels(identity=unknown, camera=camera),
        people={},
        cameras={},
        sequence=unknown,
        frame=unknown,
        timestamp=np.full(IMAGES, np.nan),
        split=np.full(IMAGES, "gallery"),
        path=np.full(IMAGES, ""),
    )
    sampled = calibrate.Sampled.of(stored, np.ones(IMAGES, dtype=bool), known=False)
    found = sampled.distribution(vectors, vectors, model=Transit.nothing())
    scores = vectors @ vectors.T
    own = np.sort(scores, axis=1)[:, ::-1][:, CROWD].mean(axis=1)
    beyond = (scores - own[:, None])[camera[:, None] != camera]
    assert found.crowds is not None
    # Single precision may put a score into the next bin.
    assert np.abs(found.crowds.beyond - counted(beyond)).sum() < 1e-3 * len(beyond)
    assert found.crowds.highest > np.median(own)
    few = calibrate.Sampled.of(stored, np.arange(IMAGES) < 900, known=False)
    rows = few.sample
    small = few.distribution(vectors[rows], vectors[:900], model=Transit.nothing())
    assert small.crowds is None


def test_a_small_gallery_takes_only_strict_rates_from_the_encoder() -> None:
    rates = [1e-2, 1e-4, 1e-5]
    known = Thresholds({1e-2: 0.3, 1e-4: 0.6, 1e-5: 0.7})
    scale = Yardstick(Ranking(), None, known, Origin.ENCODER, strict=False)
    assert scale.unasked(rates, gallery=999) == [1e-5]
    assert scale.unasked(rates, gallery=1000) == rates
    loose = Yardstick(Ranking(), None, Thresholds({1e-2: 0.3}), Origin.ENCODER, strict=False)
    assert loose.unasked(rates[:1], gallery=999) == rates[:1]
    assert of(strangers()).unasked(rates, gallery=999) == rates
