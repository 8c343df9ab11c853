"""What the demo tells of each of its steps, in lines that fit 80 columns."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from reidsearch.views import captions, verdicts
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.evaluation.protocol import Evaluation
    from reidsearch.ingest.summary import IngestSummary
    from reidsearch.ranking.calibration import Calibration
    from reidsearch.search.answer import Answer
    from reidsearch.search.trace import Trace

SHOWN_HITS = 3


@dataclass(frozen=True)
class Line:
    """A line of what was found; ``kind`` is the verdict where it is of a hit, else empty."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Step:
    """Something done, ``verb`` being its command, in so many seconds."""

    verb: str
    seconds: float
    lines: tuple[Line, ...]


Show: TypeAlias = Callable[[Step], None]


class Steps:
    """Shows steps one after the other, each with the time since the one before."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._since = time.perf_counter()

    def done(self, verb: str, *lines: str | Line) -> None:
        now = time.perf_counter()
        found = tuple(Line(line) if isinstance(line, str) else line for line in lines)
        self._show(Step(verb, now - self._since, found))
        self._since = now


def ingested(summary: "IngestSummary") -> list[str]:
    """How many crops, and how fast."""
    counts = " and ".join(f"{count} of {split}" for split, count in summary.splits.items())
    if not summary.ingested:
        return [f"{counts} are there already"]
    return [f"{counts}, {summary.images_per_second:.0f} images a second"]


def asked(answer: "Answer") -> list[str | Line]:
    """Who was searched for, and the first few hits, a line each."""
    found = [
        Line(
            f"{hit.score:.3f}  camera {hit.camera}  {captions.file_name(hit.path)}",
            verdicts.kind(answer, hit),
        )
        for hit in answer.hits[:SHOWN_HITS]
    ]
    return [f"who is {captions.file_name(answer.query)}, at other cameras?", *found]


def measured(evaluation: "Evaluation") -> list[str]:
    """By the protocol, without anything learned."""
    return [
        f"{evaluation.queries} probes among {evaluation.gallery} gallery images",
        numbers(evaluation),
    ]


def numbers(evaluation: "Evaluation") -> str:
    """The two numbers that everybody reads, and how the gallery was ranked."""
    how = "expanded" if evaluation.ranking.is_expanded else "by looks alone"
    if evaluation.ranking.spatio_temporal:
        how += ", with times"
    return f"Rank-1 {evaluation.cmc[1]:7.2%}   mAP {evaluation.mAP:7.2%}   {how}"


def learned(calibration: "Calibration", expanded: int) -> list[str]:
    """From what, and what of it."""
    return [
        f"times between cameras, from {calibration.transit.pairs} pairs and no label;",
        f"{expanded} vectors now carry their nearest neighbours",
    ]


def traced(trace: "Trace") -> list[str | Line]:
    """Where the person was, in time order, a line each."""
    lines: list[str | Line] = [f"where was {captions.file_name(trace.query)}, and when?"]
    for stay in trace.stays:
        first, last = captions.ends(stay, trace.unit, trace.zone)
        rest = captions.later(first, last)
        when = f"{first.replace('frame', 'frames')} to {rest}" if rest else first
        said = f"camera {stay.camera}  {when}, {counted(len(stay.hits), 'crop')}"
        lines.append(Line(said, verdicts.kind(trace, stay.hits[0])))
    return lines
