"""Where was this person? The hits for one probe as stays at cameras, in time order."""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reidsearch.documents.traces import TraceDocument, trace_document
from reidsearch.encoding import thresholds
from reidsearch.errors import UsageError
from reidsearch.learning import calibrate, expand
from reidsearch.ranking.feedback import Unlike
from reidsearch.ranking.ranking import Ranked, Sighted
from reidsearch.ranking.scores import CROWD
from reidsearch.search import audit, first_trace, places, second_look, stays, yardstick
from reidsearch.search.answer import Asked
from reidsearch.search.find import Scored, Sought, find, hits
from reidsearch.search.first_trace import LEARNED_AT_ONCE, NotLearned, gallery_size
from reidsearch.search.inquiry import BEST, Wish
from reidsearch.search.places import Scope
from reidsearch.search.question import Question
from reidsearch.search.stays import PAUSE, Stay
from reidsearch.search.yardstick import FALSE_SHARE_IN_CROWD, Chosen, Origin, Yardstick
from reidsearch.session import Session
from reidsearch.times import Zone
from reidsearch.types import Filter, Split, Vectors, check_span
from reidsearch.vectors.collection import Collection
from reidsearch.views import lanes

FETCHED = 100  # hits asked for at first
DEFAULT_RATES = tuple(10 ** (-k / 16) for k in range(32, 105))  # of false matches, 1e-2 to 3e-7
EXAMPLES = 10  # hits that join the probe in looking once more
ROUNDING = 1e-5  # by which a vector's length may differ from 1


@dataclass(frozen=True)
class Trace:
    """The ``stays`` of one person, in time order. ``query`` to ``site``, and ``picture``, are those
    of the first picture that was asked with, as ``Asked`` tells them; ``more`` are further ones of
    the person, ``unlike`` such of others.

    Stays are of all hits with at least the score ``threshold``, which this ``rate`` of the pairs of
    different people reach (None where the threshold was given), and which comes from ``origin``.
    Where ``crowd`` is known, the score of those who are like the probe and somebody else, the rate
    is of pairs that stand so far out of it. ``nearest`` is the best score there is, None where
    nothing is stored that was asked for. ``ranking`` tells what the scores are; ``calibrated`` is
    the number of images that they were learned from just now, None where they were not, and
    ``not_learned`` says why the gallery does not tell a threshold where it was to. ``unit`` is that
    of times: frames, over a camera's sequences one after the other, or seconds since 1970 UTC; None
    without times. ``warnings`` say what may be wrong with any picture, and times are shown in
    ``zone``. In a notebook it shows as lanes."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    threshold: float
    rate: float | None
    crowd: float | None
    origin: Origin
    nearest: float | None
    ranking: Ranked
    calibrated: int | None
    not_learned: NotLearned | None
    unit: str | None
    stays: tuple[Stay, ...]
    warnings: tuple[str, ...] = ()
    picture: bytes | None = field(default=None, repr=False, compare=False)
    zone: Zone = field(default=None, repr=False, compare=False)
    more: tuple[Asked, ...] = ()
    unlike: tuple[Asked, ...] = ()

    @property
    def together(self) -> tuple[Asked, ...]:
        """All pictures of the person that was asked for."""
        first = Asked(self.query, self.camera, self.identity, self.site, self.picture)
        return (first, *self.more)

    @property
    def spatio_temporal(self) -> bool:
        """Whether transit times are in the scores."""
        return self.ranking.spatio_temporal

    def document(self) -> TraceDocument:
        """As a JSON document."""
        return trace_document(self)

    def save(self, path: str | Path) -> None:
        """Draw it, a lane for each camera; .png or .html. Raises UsageError on another ending."""
        lanes.save(self, Path(path))

    def _repr_png_(self) -> bytes:
        return lanes.png(self)


def trace(
    session: Session,
    question: Question,
    *,
    site: str | None = None,
    dataset: str | None = None,
    since: float | None = None,
    until: float | None = None,
    false_matches: float | None = None,
    min_score: float | None = None,
    wish: Wish = BEST,
    rates: Sequence[float] = DEFAULT_RATES,
    pauses: Mapping[str, float] = PAUSE,
    learned_at_once: range = LEARNED_AT_ONCE,
    false_share: float = FALSE_SHARE_IN_CROWD,
) -> Trace:
    """The hits for a question above a threshold, as stays; logged.

    The threshold is ``min_score``, or the score that at most a share ``false_matches`` of the pairs
    of different people reach. By default it is the one of ``rates`` that lets most hits through of
    which no more than a tenth is expected to be false, in a gallery of this size, and it stands
    above the probe's own crowd where crowds are known, for which ``false_share`` says how much is
    to be expected so that it is a tenth. The gallery's calibration tells it, or else
    the encoder. ``wish`` says how to rank. Probes that take no neighbours by themselves are joined
    by the best EXAMPLES hits in a second search, whose scores are means over all of them. Those of
    several probes are means, too; beside ``min_score``, and where vectors carry neighbours, they
    are those of ``search.query``. A stay ends where nobody is seen for one of ``pauses``, by the
    unit of times.

    Where the best ranking is asked for and no score, the gallery is learned from first, as
    ``first_trace.learn`` does it, which has ``learned_at_once`` as its ``sizes``.
    Raises NotCalibrated without any threshold, UsageError where the gallery is too small for so
    low a rate, and as ``search.query`` does.
    """
    audit.require_log(session)
    check_span(since, until)
    question = question.recognised(session.catalog)
    if false_matches is not None and not 0 < false_matches < 1:
        raise UsageError(
            f"{false_matches} is no rate of false matches", hint="Give one between 0 and 1."
        )
    collection, encoder = session.searchable()
    scope = places.scope(session.catalog, site=site, dataset=dataset)
    encoded = question.encoded(encoder)
    own = encoded.own
    hidden = frozenset(one.sha256 for one in question.unlike)
    calibrated, not_learned = None, None
    if wish == BEST and min_score is None:
        calibrated, not_learned = first_trace.learn(session, collection, sizes=learned_at_once)
    where = Filter(split=Split.GALLERY, datasets=scope.dataset_ids, since=since, until=until)
    while True:
        generation = expand.generation(collection)
        scale = yardstick.of(collection, encoder, question, scope, wish)
        if scale.ranking.is_expanded:
            vector = second_look.looked_again(own, question, collection, scale.ranking, scale.seen)
        else:
            vector = own if min_score is not None else encoded.each.mean(axis=0, keepdims=True)
        look = _Look(collection, scope, where, scale, false_share, encoded.unlike, hidden)
        chosen: Chosen | None = None
        if min_score is not None:
            found = look.find(vector, scale.seen, min_score=min_score)
        elif false_matches is not None:
            found, chosen = look.judged(vector, scale.seen, (false_matches,), in_crowd=False)
        else:
            found, chosen = look.best(vector, scale.seen, rates, encoded.each)
        nearest = found or look.find(vector, scale.seen, top_k=1)
        if not scale.ranking.is_expanded or expand.generation(collection) == generation:
            break  # else somebody wrote expanded vectors meanwhile, and found are old and new ones
    clock = stays.clock_of(collection, Split.GALLERY, calibrate.known(collection))
    (first, *more), others = question.asked(scope)
    threshold = min_score if chosen is None else chosen.threshold
    assert threshold is not None  # one of both was there
    traced = Trace(
        query=first.query,
        camera=first.camera,
        identity=first.identity,
        site=first.site,
        threshold=threshold,
        rate=None if chosen is None else chosen.rate,
        crowd=None if chosen is None else chosen.crowd,
        origin=Origin.GIVEN if chosen is None else scale.origin,
        nearest=max((one.score for one in nearest), default=None),
        ranking=scale.ranking,
        calibrated=calibrated,
        not_learned=not_learned,
        unit=None if clock is None else clock.unit,
        stays=stays.of(
            [one.image for one in found],
            hits(found, collection.catalog),
            clock,
            pauses=pauses,
        ),
        warnings=encoded.warned(),
        picture=first.picture,
        zone=session.config.timezone,
        more=tuple(more),
        unlike=others,
    )
    audit.record(
        session,
        audit.Search(
            probes=question.probes,
            unlike=question.unlike,
            command="trace",
            filters={
                "camera": [one.camera for one in traced.together] if more else traced.camera,
                "site": site,
                "dataset": dataset,
                "since": since,
                "until": until,
                "threshold": traced.threshold,
                "rate": traced.rate,
                "expand": scale.ranking.is_expanded,
                "spatio_temporal": traced.spatio_temporal,
            },
            hits=len(found),
        ),
    )
    return traced


@dataclass(frozen=True)
class _Look:
    """Searches for one question, and which of the hits are the person."""

    collection: Collection
    scope: Scope
    where: Filter
    scale: Yardstick
    false_share: float
    unlike: Unlike | None
    hidden: AbstractSet[str]

    def find(
        self,
        vector: Vectors,
        seen: Sighted | None,
        *,
        min_score: float = -math.inf,
        top_k: int | None = None,
        everywhere: bool = False,
    ) -> list[Scored]:
        """As ``find.find``; a mean of several vectors may be shorter than 1. ``everywhere`` are
        all gallery images as they are, whoever looks like somebody else."""
        length = float(np.linalg.norm(vector))
        if abs(length - 1) < ROUNDING:
            length = 1.0
        return find(
            self.collection,
            Sought(
                vector=vector if length == 1 else vector / np.float32(length),
                where=Filter(split=Split.GALLERY) if everywhere else self.where,
                top_k=top_k,
                min_score=min_score,
                ranking=self.scale.ranking,
                seen=seen,
                unlike=None if everywhere else self.unlike,
                hidden=frozenset() if everywhere else self.hidden,
                margin=FETCHED,
                scale=length,
            ),
        )

    def judged(
        self, vector: Vectors, seen: Sighted | None, rates: Sequence[float], *, in_crowd: bool
    ) -> tuple[list[Scored], Chosen]:
        """The hits from the best of these rates on. Raises NotCalibrated, or UsageError where none
        of them can be told."""
        best: list[float] = []
        if in_crowd and self.scale.crowds is not None:
            nearest = self.find(vector, seen, top_k=CROWD.stop, everywhere=True)
            best = [one.score for one in nearest]
        mark = self.scale.beside(best)
        least = thresholds.least(mark.known, rates)
        if least is None:
            raise UsageError(
                f"{self.scale.origin.words} tells no false match rate of {max(rates):g}: too few "
                "pairs",
                hint="Give another {false_matches}, or a score with {min_score}.",
            )
        found = self.find(vector, seen, min_score=least)
        size = gallery_size(self.collection, self.scope)
        scores = [one.score for one in found]
        chosen = mark.choose(scores, rates, gallery=size, share_in_crowd=self.false_share)
        assert chosen is not None  # some rate can be told, or there was no least score
        return [one for one in found if one.score >= chosen.threshold], chosen

    def best(
        self, vector: Vectors, seen: Sighted | None, rates: Sequence[float], each: Vectors
    ) -> tuple[list[Scored], Chosen]:
        """The same by default: beside the probes' crowd, and with a second look for such as have
        taken no neighbours, whose own vectors are ``each`` (P x D)."""
        rates = self.scale.unasked(rates, gallery=gallery_size(self.collection, self.scope))
        found, chosen = self.judged(vector, seen, rates, in_crowd=True)
        if found and not self.scale.ranking.is_expanded:
            with_examples = self._with(found[:EXAMPLES], each, seen)
            found, chosen = self.judged(*with_examples, rates, in_crowd=True)
        return found, chosen

    def _with(
        self, examples: Sequence[Scored], each: Vectors, seen: Sighted | None
    ) -> tuple[Vectors, Sighted | None]:
        """The mean of the probes' vectors (P x D) and the examples' (1 x D, not of unit length: its
        products are mean cosines), and where and when all of them were taken.

        The mean of several pairs' scores lies nearer to the middle than a single one's, so that
        what is known of single pairs of different people holds for it, on the safe side.
        """
        _, vectors = self.collection.store.retrieve([one.image.id for one in examples])
        mean = np.concatenate([each, vectors]).mean(axis=0, keepdims=True)
        calibration = self.scale.ranking.calibration
        if seen is None or calibration is None:
            return mean, None
        others = stays.sightings([one.image for one in examples], calibration.transit.clock)
        return mean, Sighted(
            np.concatenate([seen.camera, others.camera]), np.concatenate([seen.times, others.times])
        )
