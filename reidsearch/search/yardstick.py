"""Which score means the same person, for one question: how to rank, and what tells thresholds.

The gallery's own calibration does, for the ranking in use, where it can tell people apart: by
labels, or by times that one person's sightings hardly have. Otherwise the encoder's thresholds do,
which hold for plain cosines.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reidsearch.encoding import thresholds
from reidsearch.encoding.encoder import Encoder
from reidsearch.encoding.thresholds import Tellable
from reidsearch.errors import NotCalibrated
from reidsearch.learning import calibrate, expand
from reidsearch.ranking.calibration import Calibration
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.ranking.scores import CROWD_FROM, Crowds, ScoreDistribution
from reidsearch.search import rankings
from reidsearch.search.inquiry import BEST, PLAIN, Wish
from reidsearch.search.places import Scope
from reidsearch.search.question import Question
from reidsearch.types import Split
from reidsearch.vectors.collection import Collection

STRICTEST = 1e-4  # of the rates, where pairs of one person count among those of different people
# Of the rates that an encoder tells, in a gallery too small to learn from. They were measured on
# other cameras: among 60 people and 527 crops of a campus that the shipped encoder never saw, 35 %
# of what 1e-4 let through was somebody else, and 7.5 % here.
LOOSEST = 2e-5
# Of the hits, that may be expected to be somebody else, so that in fact 1 in 10 is. Beside a
# crowd it is less: strangers seen close in time are more alike than pairs that are not. Chosen on
# people held out from training (train/RESULTS.md).
FALSE_SHARE, FALSE_SHARE_IN_CROWD = 0.1, 0.04


class Origin(StrEnum):
    """Where a threshold comes from."""

    GIVEN = "given"
    GALLERY = "gallery"  # its calibration
    ENCODER = "encoder"  # what the encoder brings

    @property
    def words(self) -> str:
        """For people."""
        return {"given": "you", "gallery": "the gallery", "encoder": "the encoder"}[self]


@dataclass(frozen=True)
class Chosen:
    """A threshold, its false match ``rate``, and the ``crowd`` of the probe that it stands above,
    None where that is not known."""

    threshold: float
    rate: float
    crowd: float | None


@dataclass(frozen=True)
class Yardstick:
    """``ranking`` is how to rank, ``seen`` where and when the question's pictures were taken, where
    that counts. ``known`` tells thresholds, ``strict`` whether pairs of one person count among
    those of different people in it."""

    ranking: Ranking
    seen: Sighted | None
    known: Tellable | None
    origin: Origin
    strict: bool

    @property
    def crowds(self) -> Crowds | None:
        """How far strangers stand out of a probe's crowd; None where that is not known."""
        return self.known.crowds if isinstance(self.known, ScoreDistribution) else None

    def unasked(self, rates: Sequence[float], *, gallery: int) -> list[float]:
        """Those of these rates that may be taken where people ask for none, in a ``gallery`` of so
        many images."""
        if self.strict:
            return [rate for rate in rates if rate >= STRICTEST]
        if self.origin is not Origin.ENCODER or self.known is None or gallery >= CROWD_FROM:
            return list(rates)
        told = [rate for rate in rates if self.known.threshold(rate) is not None]
        return [rate for rate in told if rate <= LOOSEST] or sorted(told)[:1]

    def beside(self, best: Sequence[float]) -> "Mark":
        """For a probe with these best scores in the whole gallery, descending, if they are known.

        Raises NotCalibrated where nothing tells thresholds.
        """
        if self.known is None:
            raise NotCalibrated(
                "which score means the same person has not been learned from this gallery, and the "
                "encoder does not say",
                hint="Learn it with: {calibrate}, or give a score with {min_score}.",
            )
        above = None if self.crowds is None else self.crowds.thresholds(best)
        return Mark(self.known, None) if above is None else Mark(above, above.crowd)


@dataclass(frozen=True)
class Mark:
    """A yardstick laid beside one probe."""

    known: Tellable
    crowd: float | None

    def choose(
        self,
        scores: Iterable[float],
        rates: Iterable[float],
        *,
        gallery: int,
        share_in_crowd: float = FALSE_SHARE_IN_CROWD,
    ) -> Chosen | None:
        """The threshold for these hits among so many images in the ``gallery``; None where no rate
        can be told. Beside a crowd a ``share_in_crowd`` may be expected to be false."""
        share = FALSE_SHARE if self.crowd is None else share_in_crowd
        found = thresholds.choose(
            self.known, scores, gallery=gallery, rates=rates, false_share=share
        )
        return None if found is None else Chosen(*found, self.crowd)


def of(
    collection: Collection, encoder: Encoder, question: Question, scope: Scope, wish: Wish
) -> Yardstick:
    """For one question. With the best of wishes it is the best ranking that there are thresholds
    for. Raises as ``search.query`` does."""
    learned = calibrate.known(collection)
    told_apart = learned is not None and learned.tells_apart
    encoder_tells = not told_apart and encoder.thresholds is not None
    if wish == BEST and encoder_tells:
        wish = PLAIN
    ranking, seen = rankings.ranking_for(collection, question, scope, wish, Split.GALLERY)
    known = _distribution(collection, learned, ranking)
    if wish == BEST and known is None:
        ranking, seen = Ranking(), None
        known = _distribution(collection, learned, ranking)
    if encoder_tells and ranking == Ranking():
        return Yardstick(ranking, seen, encoder.thresholds, Origin.ENCODER, strict=False)
    return Yardstick(ranking, seen, known, Origin.GALLERY, strict=not told_apart)


def _distribution(
    collection: Collection, learned: Calibration | None, ranking: Ranking
) -> ScoreDistribution | None:
    """Of the scores of a ranking; None where it was not learned."""
    if learned is None:
        return None
    both = expand.scores(collection) if ranking.is_expanded else (learned.cosines, learned.scores)
    if both is None:
        return None
    alone, with_times = both
    return alone if ranking.calibration is None else with_times
