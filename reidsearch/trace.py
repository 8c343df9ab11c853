"""Where was this person? The hits for one probe as stays at cameras, in time order."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reidsearch import (
    audit,
    calibrate,
    documents,
    expand,
    first_trace,
    names,
    places,
    search,
    stays,
    thresholds,
    yardstick,
)
from reidsearch.collection import Collection
from reidsearch.errors import UsageError
from reidsearch.find import Scored, Sought, find, hits
from reidsearch.first_trace import LEARNED_AT_ONCE, NotLearned, gallery_size
from reidsearch.inquiry import BEST, Wish
from reidsearch.places import Scope
from reidsearch.probe import Probe
from reidsearch.question import Question
from reidsearch.ranking.ranking import Ranked, Sighted
from reidsearch.ranking.scores import CROWD
from reidsearch.session import Session
from reidsearch.stays import PAUSE, Stay
from reidsearch.times import Zone
from reidsearch.types import Filter, Split, Vectors, check_span
from reidsearch.views import lanes
from reidsearch.yardstick import FALSE_SHARE_IN_CROWD, Chosen, Origin, Yardstick

FETCHED = 100  # hits asked for at first
DEFAULT_RATES = tuple(10 ** (-k / 16) for k in range(32, 105))  # of false matches, 1e-2 to 3e-7
EXAMPLES = 10  # hits that join the probe in looking once more
ROUNDING = 1e-5  # by which a vector's length may differ from 1


@dataclass(frozen=True)
class Trace:
    """The ``stays`` of the person at ``query``, in time order: all hits with at least the score
    ``threshold``, which this ``rate`` of the pairs of different people reach (None where the
    threshold was given), and which comes from ``origin``. Where ``crowd`` is known, the score of
    those who are like the probe and somebody else, the rate is of pairs that stand so far out of
    it. ``nearest`` is the best score there is, None where nothing is stored that was asked for.
    ``ranking`` tells what the scores are; ``calibrated`` is the number of images that they were
    learned from just now, None where they were not, and ``not_learned`` says why the gallery does
    not tell a threshold where it was to. ``unit`` is that of times: frames, over a
    camera's sequences one after the other, or seconds since 1970 UTC; None without times.
    ``warnings`` say what may be wrong with the probe, ``picture`` are its bytes, and times are
    shown in ``zone``. In a notebook it shows as lanes."""

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

    @property
    def spatio_temporal(self) -> bool:
        """Whether transit times are in the scores."""
        return self.ranking.spatio_temporal

    def document(self) -> documents.TraceDocument:
        """As a JSON document."""
        return documents.trace(self)

    def save(self, path: str | Path) -> None:
        """Draw it, a lane for each camera; .png or .html. Raises UsageError on another ending."""
        lanes.save(self, Path(path))

    def _repr_png_(self) -> bytes:
        return lanes.png(self)


def trace(
    session: Session,
    probe: Probe,
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
    """The hits for a probe above a threshold, as stays; logged.

    The threshold is ``min_score``, or the score that at most a share ``false_matches`` of the pairs
    of different people reach. By default it is the one of ``rates`` that lets most hits through of
    which no more than a tenth is expected to be false, in a gallery of this size, and it stands
    above the probe's own crowd where crowds are known, for which ``false_share`` says how much is
    to be expected so that it is a tenth. The gallery's calibration tells it, or else
    the encoder. ``wish`` says how to rank. A probe that takes no neighbours by itself is joined by
    the best EXAMPLES hits in a second search, whose scores are means over all of them. A stay ends
    where nobody is seen for one of ``pauses``, by the unit of times.

    Where the best ranking is asked for and no score, the gallery is learned from first, as
    ``first_trace.learn`` does it, which has ``learned_at_once`` as its ``sizes``.
    Raises NotCalibrated without any threshold, UsageError where the gallery is too small for so
    low a rate, and as ``search.query`` does.
    """
    audit.require_log(session)
    check_span(since, until)
    question = Question((places.recognised(session.catalog, probe),))
    if false_matches is not None and not 0 < false_matches < 1:
        raise UsageError(
            f"{false_matches} is no rate of false matches", hint="Give one between 0 and 1."
        )
    collection, encoder = session.searchable()
    scope = places.scope(session.catalog, site=site, dataset=dataset)
    encoded = question.encoded(encoder)
    own = encoded.own
    calibrated, not_learned = None, None
    if wish == BEST and min_score is None:
        calibrated, not_learned = first_trace.learn(session, collection, sizes=learned_at_once)
    where = Filter(split=Split.GALLERY, datasets=scope.dataset_ids, since=since, until=until)
    while True:
        generation = expand.generation(collection)
        scale = yardstick.of(collection, encoder, question, scope, wish)
        vector = own
        if scale.ranking.is_expanded:
            vector = search.looked_again(own, question, collection, scale.ranking, scale.seen)
        look = _Look(collection, scope, where, scale, false_share)
        chosen: Chosen | None = None
        if min_score is not None:
            found = look.find(vector, scale.seen, min_score=min_score)
        elif false_matches is not None:
            found, chosen = look.judged(vector, scale.seen, (false_matches,), in_crowd=False)
        else:
            found, chosen = look.best(vector, scale.seen, rates)
        nearest = found or look.find(vector, scale.seen, top_k=1)
        if not scale.ranking.is_expanded or expand.generation(collection) == generation:
            break  # else somebody wrote expanded vectors meanwhile, and found are old and new ones
    clock = stays.clock_of(collection, Split.GALLERY, calibrate.known(collection))
    probe = question.probes[0]
    threshold = min_score if chosen is None else chosen.threshold
    assert threshold is not None  # one of both was there
    traced = Trace(
        query=probe.name,
        camera=names.numbered(probe.seen.camera),
        identity=names.numbered(probe.seen.identity),
        site=scope.site_of(probe),
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
        picture=probe.data,
        zone=session.config.timezone,
    )
    audit.record(
        session,
        audit.Search(
            probes=[probe],
            command="trace",
            filters={
                "camera": traced.camera,
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

    def find(
        self,
        vector: Vectors,
        seen: Sighted | None,
        *,
        min_score: float = -math.inf,
        top_k: int | None = None,
        everywhere: bool = False,
    ) -> list[Scored]:
        """As ``find.find``; a mean of several vectors may be shorter than 1."""
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
        self, vector: Vectors, seen: Sighted | None, rates: Sequence[float]
    ) -> tuple[list[Scored], Chosen]:
        """The same by default: beside the probe's crowd, and with a second look for a probe that
        has taken no neighbours."""
        rates = self.scale.unasked(rates, gallery=gallery_size(self.collection, self.scope))
        found, chosen = self.judged(vector, seen, rates, in_crowd=True)
        if found and not self.scale.ranking.is_expanded:
            joined = self._joined(vector, seen, found[:EXAMPLES])
            found, chosen = self.judged(*joined, rates, in_crowd=True)
        return found, chosen

    def _joined(
        self, own: Vectors, seen: Sighted | None, examples: Sequence[Scored]
    ) -> tuple[Vectors, Sighted | None]:
        """The mean of the probe's vector and the examples' (1 x D, not of unit length: its products
        are mean cosines), and where and when all of them were taken.

        The mean of several pairs' scores lies nearer to the middle than a single one's, so that
        what is known of single pairs of different people holds for it, on the safe side.
        """
        _, vectors = self.collection.store.retrieve([one.image.id for one in examples])
        mean = np.concatenate([own, vectors]).mean(axis=0, keepdims=True)
        calibration = self.scale.ranking.calibration
        if seen is None or calibration is None:
            return mean, None
        others = stays.sightings([one.image for one in examples], calibration.transit.clock)
        return mean, Sighted(
            np.concatenate([seen.camera, others.camera]), np.concatenate([seen.times, others.times])
        )
