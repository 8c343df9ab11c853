"""Documents as the objects they were made of: the reverse of ``documents``.

ValueError is raised by all of it where a document cannot be such an object.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from reidsearch.catalog import State
from reidsearch.catalog.records import CameraRecord, ImageCount, IngestRun, Left, Part
from reidsearch.documents.answers import AnswerDocument
from reidsearch.documents.audits import AuditDocument
from reidsearch.documents.cameras import CameraDocument
from reidsearch.documents.forgetting import ForgottenDocument, SelectedDocument
from reidsearch.documents.hits import HitDocument, StayDocument
from reidsearch.documents.ingests import AddedDocument
from reidsearch.documents.questions import AskedDocument
from reidsearch.documents.statuses import StatusDocument
from reidsearch.documents.traces import NotLearnedDocument, TraceDocument
from reidsearch.forgetting.removal import Forgotten
from reidsearch.inspection.status import ExpandedCount, LearnedFrom, SettingInForce, Status
from reidsearch.lock import Holder
from reidsearch.pushing.add import Added, Outcome
from reidsearch.ranking.calibration import Source
from reidsearch.ranking.cells import Pairing
from reidsearch.ranking.ranking import reranked_words
from reidsearch.search.answer import Answer, Asked, Hit
from reidsearch.search.audit import AuditEntry
from reidsearch.search.first_trace import NotLearned, Unlearned
from reidsearch.search.question import Question
from reidsearch.search.stays import Stay
from reidsearch.search.trace import Trace
from reidsearch.search.yardstick import Origin
from reidsearch.times import Zone
from reidsearch.types import Scan, Split

Fetch: TypeAlias = Callable[[int], Callable[[], bytes]]
"""What gets the picture of the image with that id, when it is called."""

LABELS = "labels of "  # before their source, among what a ranking uses


@dataclass(frozen=True, slots=True)
class RankedElsewhere:
    """How a service ranked, as it tells it."""

    reranked: bool
    is_expanded: bool
    spatio_temporal: bool
    uses: tuple[str, ...]
    candidates: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        used = [reranked_words(self.candidates)] if self.reranked else []
        if self.is_expanded:
            used.append("expanded")
        if self.spatio_temporal:
            labels = [one.removeprefix(LABELS) for one in self.uses if one.startswith(LABELS)]
            used.append(f"transit times from {labels[0] if labels else Source.MATCHES}")
        return tuple(used)


def answer(told: AnswerDocument, question: Question, *, zone: Zone, fetch: Fetch) -> Answer:
    """The answer to a question, whose pictures are at hand."""
    more, unlike = _asked(told.get("more", []), question)
    stays = told.get("stays")
    return Answer(
        query=told["query"],
        camera=told["camera"],
        identity=told["identity"],
        site=told["site"],
        hits=_hits(told["hits"], fetch),
        warnings=tuple(told["warnings"]),
        picture=question.probes[0].data,
        zone=zone,
        more=more,
        unlike=unlike,
        stays=None if stays is None else _stays(stays, fetch),
        unit=told.get("unit"),
        ranking=RankedElsewhere(
            told["reranked"],
            told["expanded"],
            told["spatio_temporal"],
            tuple(told["uses"]),
            told["reranked_among"],
        ),
        scan=Scan(told["scan"]),
    )


def trace(told: TraceDocument, question: Question, *, zone: Zone, fetch: Fetch) -> Trace:
    """The trace that answers a question, whose pictures are at hand."""
    more, unlike = _asked(told.get("more", []), question)
    return Trace(
        query=told["query"],
        camera=told["camera"],
        identity=told["identity"],
        site=told["site"],
        threshold=told["threshold"],
        rate=told["rate"],
        crowd=told["crowd"],
        origin=Origin(told["threshold_from"]),
        nearest=told["nearest"],
        ranking=RankedElsewhere(
            False, told["expanded"], told["spatio_temporal"], tuple(told["uses"])
        ),
        calibrated=told["calibrated"],
        not_learned=_not_learned(told["not_learned"]),
        unit=told["unit"],
        stays=_stays(told["stays"], fetch),
        warnings=tuple(told["warnings"]),
        picture=question.probes[0].data,
        zone=zone,
        more=more,
        unlike=unlike,
    )


def _not_learned(told: NotLearnedDocument | None) -> NotLearned | None:
    return None if told is None else NotLearned(Unlearned(told["reason"]), told["message"])


def status(told: StatusDocument) -> Status:
    """What is stored there, and the settings in force there."""
    first, last, run = told["first_taken"], told["last_taken"], told["last_ingest"]
    running = told["running"]
    return Status(
        version=told["version"],
        settings=tuple(
            SettingInForce(key, one["value"], one["from"] or "")
            for key, one in told["settings"].items()
        ),
        store=told["store"],
        sites=tuple(told["sites"]),
        cameras=tuple(told["cameras"]),
        people=told["people"],
        taken=None if first is None or last is None else (first, last),
        bytes=told["bytes"],
        scan={encoder: Scan(how) for encoder, how in told["scan"].items()},
        images=tuple(
            ImageCount(
                dataset=one["dataset"],
                root=one["root"],
                split=Split(one["split"]),
                encoder=one["encoder"],
                state=State(one["state"]),
                images=one["images"],
            )
            for one in told["images"]
        ),
        expanded=tuple(
            ExpandedCount(
                one["encoder"],
                one["kind"],
                Pairing(one["neighbours_among"]),
                one["images"],
                one["current"],
            )
            for one in told["expanded"]
        ),
        learned=tuple(
            LearnedFrom(
                one["encoder"],
                one["source"],
                one["images"],
                None if one["matches_among"] is None else Pairing(one["matches_among"]),
                one["scores_of"],
            )
            for one in told["learned"]
        ),
        last_ingest=None if run is None else IngestRun(id=0, **run),
        running=None
        if running is None
        else Holder(running["pid"], running["command"], running["since"]),
        waiting=told["waiting"],
    )


def cameras(told: Sequence[CameraDocument]) -> tuple[CameraRecord, ...]:
    """The cameras there."""
    return tuple(
        CameraRecord(id=one["id"], name=str(one["camera"]), site=one["site"]) for one in told
    )


def audit(told: Sequence[AuditDocument]) -> list[AuditEntry]:
    """The log there."""
    return [
        AuditEntry(
            time=one["time"],
            operator=one["operator"],
            command=one["command"],
            probe_sha256=one["probe_sha256"],
            filters=one["filters"],
            hits=one["hits"],
            picture=one["picture"],
            together=tuple(one["together_sha256"]),
            unlike=tuple(one["not_sha256"]),
        )
        for one in told
    ]


def selected(told: SelectedDocument) -> Forgotten:
    """What would be forgotten."""
    return Forgotten(tuple(map(Path, told["paths"])), waiting=told["waiting"])


def forgotten(told: ForgottenDocument, paths: Sequence[Path]) -> Forgotten:
    """What was forgotten, of these paths."""
    left = tuple(Left(part=Part(one["part"]), address=one["address"]) for one in told["left"])
    return Forgotten(
        tuple(paths), told["vectors"], told["compacted"], told["backups"], left, told["waiting"]
    )


def added(told: AddedDocument) -> Added:
    """What came of a crop."""
    return Added(told["id"], Outcome(told["outcome"]))


def _asked(
    told: Sequence[AskedDocument], question: Question
) -> tuple[tuple[Asked, ...], tuple[Asked, ...]]:
    """The pictures of a question but its first: of the person, and of others."""
    pictures = [one.data for one in question.pictures[1:]]
    if len(pictures) != len(told):
        raise ValueError("more or fewer pictures than were sent")
    asked = [
        (Asked(one["query"], one["camera"], one["identity"], one["site"], data), one["unlike"])
        for one, data in zip(told, pictures, strict=True)
    ]
    mine = tuple(one for one, unlike in asked if not unlike)
    return mine, tuple(one for one, unlike in asked if unlike)


def _hits(told: Sequence[HitDocument], fetch: Fetch) -> tuple[Hit, ...]:
    return tuple(
        Hit(
            rank=one["rank"],
            score=one["score"],
            id=one["id"],
            identity=one["identity"],
            camera=one["camera"],
            sequence=one["sequence"],
            frame=one["frame"],
            timestamp=one["timestamp"],
            split=one["split"],
            dataset=one["dataset"],
            site=one["site"],
            path=one["path"],
            machine=one["machine"],
            fetch=fetch(one["id"]),
        )
        for one in told
    )


def _stays(told: Sequence[StayDocument], fetch: Fetch) -> tuple[Stay, ...]:
    return tuple(
        Stay(
            camera=one["camera"],
            site=one["site"],
            sequence=one["sequence"],
            start=one["start"],
            end=one["end"],
            hits=_hits(one["hits"], fetch),
        )
        for one in told
    )
