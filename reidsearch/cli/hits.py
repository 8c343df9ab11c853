"""Hits and stays as tables and CSV."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch import times
from reidsearch.cli import output
from reidsearch.cli.tables import Cells, print_table, showable_or
from reidsearch.documents.hits import HitDocument, hit_document
from reidsearch.environment import machine
from reidsearch.ranking.clock import FRAMES, SECONDS
from reidsearch.views import captions, verdicts

if TYPE_CHECKING:
    from reidsearch.search.answer import Answer, Asked, Hit
    from reidsearch.search.stays import Stay
    from reidsearch.search.trace import Trace
    from reidsearch.views.verdicts import Probe

HITS = ("rank", "score", "identity", "", "site", "camera", "sequence", "frame", "time", "path")
OFFSET = re.compile(r"(?<=\d\d:\d\d)[+-]\d\d:\d\d$")
SHOWN_PICTURES = 3  # of a question
OF_STAY = ("start", "end", "count")  # what CSV tells of a stay beside its best hit
STYLES = {"right": "green", "wrong": "red", "unsure": ""}
MARKS = {"right": ("\u2713", "="), "wrong": ("\u2717", "x"), "unsure": ("", "")}  # and in ASCII


def print_hits_csv(answers: "list[Answer]", *, by_stay: bool) -> None:
    """A row for each hit; by stay, for the best of each, with how many there are and from when to
    when."""
    rows: list[dict[str, object]] = []
    for answer in answers:
        found: list[dict[str, object]] = [
            {"query": answer.query, **hit_document(hit, answer.zone)} for hit in answer.hits
        ]
        if answer.stays is not None:
            for row, stay in zip(found, answer.stays, strict=True):
                row |= {"start": stay.start, "end": stay.end, "count": len(stay.hits)}
        rows += found
    columns = ("query", *HitDocument.__annotations__, *(OF_STAY if by_stay else ()))
    output.print_csv(rows, columns=columns)


def print_answer(answer: "Answer") -> None:
    """A row for each hit, or for each stay where it was asked for by stay."""
    title = titled(answer)
    found = answer.stays
    kinds = [verdicts.kind(answer, hit) for hit in answer.hits]
    if found is None:
        print_table(
            _hit_rows(answer, kinds),
            columns=HITS,
            title=title,
            styles=[STYLES[kind] for kind in kinds],
        )
    else:
        print_stays(answer, found, answer.unit, answer.zone, title=title)
    if not answer.hits:
        output.say("No hits.")
    print_legend(kinds)
    if found is None and any(hit.timestamp is not None for hit in answer.hits):
        _print_zone(answer.zone)
    if answer.ranking.words:
        output.say(f"Ranked by {', '.join(answer.ranking.words)}; --plain ranks without.")


def titled(given: "Answer | Trace") -> str:
    """What was asked with."""
    title = output.one_line(given.query)
    if given.camera is not None:
        title += f", camera {given.camera}"
    if given.more:
        title += f", together with {_named(given.more)}"
    if given.unlike:
        title += f"; not {_named(given.unlike)}"
    return title


def print_stays(
    probe: "Probe",
    stays: "Sequence[Stay]",
    unit: str | None,
    zone: times.Zone,
    *,
    title: str,
) -> None:
    """A row for each stay."""
    if not stays:
        return
    kinds = [verdicts.kind(probe, stay.hits[0]) for stay in stays]
    since = "frame" if unit == FRAMES else "from"
    columns = (
        "", "site", "camera", "sequence", since, "to", "hits", "score", "identity", "", "best hit",
    )  # fmt: skip
    styles = [STYLES[kind] for kind in kinds]
    print_table(_stay_rows(stays, kinds, unit, zone), columns=columns, title=title, styles=styles)
    if unit == SECONDS:
        _print_zone(zone)


def _clock(text: str) -> str:
    """A time, on a terminal without its offset from UTC, for which there is little room."""
    return OFFSET.sub("", text) if sys.stdout.isatty() else text


def _print_zone(zone: times.Zone) -> None:
    if sys.stdout.isatty():
        output.say(f"Times are those of {times.name(zone)}.")


def print_legend(kinds: Sequence[str]) -> None:
    """What marks and colours mean, to people who see them."""
    told = [
        f"{showable_or(*MARKS[kind])} {STYLES[kind]}: {verdicts.MEANINGS[kind]}"
        for kind in ("right", "wrong")
        if kind in kinds
    ]
    if told and sys.stdout.isatty():
        output.say("; ".join(told))


def _named(asked: "Sequence[Asked]") -> str:
    """The first few by name."""
    shown = [output.one_line(one.query) for one in asked[:SHOWN_PICTURES]]
    more = len(asked) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])])


def _hit_rows(answer: "Answer", kinds: Sequence[str]) -> list[Cells]:
    several = len({hit.site for hit in answer.hits}) > 1
    return [
        (
            hit.rank,
            hit.score,
            hit.identity,
            showable_or(*MARKS[kind]),
            hit.site if several else None,
            hit.camera,
            hit.sequence,
            hit.frame,
            None if hit.timestamp is None else _clock(times.show(hit.timestamp, answer.zone)),
            from_here(hit),
        )
        for hit, kind in zip(answer.hits, kinds, strict=True)
    ]


def _stay_rows(
    stays: "Sequence[Stay]", kinds: Sequence[str], unit: str | None, zone: times.Zone
) -> list[Cells]:
    several = len({stay.site for stay in stays}) > 1
    rows: list[Cells] = []
    for number, (stay, kind) in enumerate(zip(stays, kinds, strict=True), start=1):
        first, last = captions.ends(stay, unit, zone)
        best = stay.hits[0]
        rows.append(
            (
                number,
                stay.site if several else None,
                stay.camera,
                stay.sequence,
                _clock(first.removeprefix("frame ")),
                _clock(captions.later(first, last)),
                len(stay.hits),
                best.score,
                best.identity,
                showable_or(*MARKS[kind]),
                from_here(best),
            )
        )
    return rows


def from_here(hit: "Hit") -> Path:
    """A hit's path as it is from the current folder, where it is below that; one of another
    machine's disk behind that machine's name."""
    if hit.machine not in (None, machine()):
        return Path(f"{hit.machine}:{hit.path}")
    return Path(hit.path.removeprefix(f"{Path.cwd()}{os.sep}"))
