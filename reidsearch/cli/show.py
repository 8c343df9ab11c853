"""How results look: as CSV and tables."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from reidsearch import documents, names, times
from reidsearch.cli import output
from reidsearch.ranking.calibration import SCORES
from reidsearch.ranking.clock import in_words
from reidsearch.ranking.scores import RATES
from reidsearch.views import exploration, sheet
from reidsearch.words import counted

if TYPE_CHECKING:  # a command loads its own verb alone
    from reidsearch.answer import Answer, Asked
    from reidsearch.compare import Comparison
    from reidsearch.contents import Contents
    from reidsearch.evaluate import Evaluation
    from reidsearch.exploration import Exploration
    from reidsearch.ingest import IngestSummary
    from reidsearch.ranking.calibration import Calibration
    from reidsearch.stays import Stay
    from reidsearch.trace import Trace

SHOWN_FAILURES = 10
SHOWN_SUSPECTS = 10
SHOWN_KINDS = 8  # of files passed over
SHOWN_PICTURES = 3  # of a question

# Columns of tables: hits, and stays.
HITS = ("rank", "score", "identity", "site", "camera", "sequence", "frame", "time", "path")
STAYS = (
    "", "site", "camera", "sequence", "from", "to", "hits", "score", "identity", "best hit",
)  # fmt: skip
OF_STAY = ("start", "end", "count")  # what CSV tells of a stay beside its best hit
Cells: TypeAlias = tuple[object, ...]


def print_ingest(summary: "IngestSummary", zone: times.Zone) -> None:
    rows = [(split, count) for split, count in sorted(summary.splits.items())]
    rows += [("ingested", summary.ingested), ("unchanged", summary.unchanged)]
    rows += [("failed", len(summary.failures))]
    extra = {
        "changed files": summary.changed,
        "renamed": summary.moved,
        "described anew": summary.relabelled,
        "too old": summary.expired,
        "removed": summary.pruned,
    }
    rows += [(name, count) for name, count in extra.items() if count]
    output.print_table(rows, columns=("", "images"))
    output.say(_known(summary.contents, zone))
    for note in summary.notes:
        output.say(f"Note: {output.one_line(note)}")
    rate = f", {summary.images_per_second:.0f} images/s" if summary.ingested else ""
    output.say(f"{summary.seconds:.1f} s{rate}")
    for failure in summary.failures[:SHOWN_FAILURES]:
        output.say(f"Rejected {output.one_line(failure.path)}: {failure.reason}")
    if len(summary.failures) > SHOWN_FAILURES:
        output.say(f"... and {len(summary.failures) - SHOWN_FAILURES} more; --json lists them all")
    if summary.unlike_crop is not None:
        are = counted(summary.unlike_crops, "is hardly a crop", "are hardly crops")
        output.say(
            f"{are} of one person, {output.one_line(summary.unlike_crop)} for one. Taken in all "
            "the same."
        )
    for depth, count in sorted(summary.scaled.items()):
        pictures = counted(
            count, "picture of more than 8 bits was", "pictures of more than 8 bits were"
        )
        output.say(f"{pictures} read as {depth} and scaled.")
    if summary.calibrated is not None:
        output.say(f"The gallery has changed; calibrated anew from {summary.calibrated} images.")
    if summary.expanded:
        carry = counted(summary.expanded, "vector carries", "vectors carry")
        output.say(f"{carry} other neighbours now.")
    if summary.vanished:
        gone = counted(len(summary.vanished), "stored image is", "stored images are")
        output.say(
            f"{gone} not in the data set any more, {output.one_line(summary.vanished[0])} for one; "
            "still stored. --prune removes what is gone."
        )


def _known(found: "Contents", zone: times.Zone) -> str:
    """What is known of the crops, in a few sentences."""
    read = f"Read as {output.one_line(found.layout)}: " if found.layout else ""
    said = [
        f"{read}{counted(found.crops, 'crop')}, {counted(found.cameras, 'camera')}, "
        f"{counted(found.people, 'person', 'people')}{_span(found, zone)}"
    ]
    without = {
        "camera": found.without_camera,
        "person": found.without_person,
        "time": found.without_time,
    }
    lacking = [f"{count:,} without a {what}" for what, count in without.items() if count]
    if lacking:
        said.append(", ".join(lacking))
    if found.passed_over:
        kinds = list(found.passed_over.items())
        some = [f"{count:,} {output.one_line(kind)}" for kind, count in kinds[:SHOWN_KINDS]]
        more = ["..."] if len(kinds) > SHOWN_KINDS else []
        said.append(f"Passed over, no crops: {', '.join(some + more)}")
    return "\n".join(f"{line}." for line in said)


def _span(found: "Contents", zone: times.Zone) -> str:
    """From when to when, or when."""
    if found.first is None or found.last is None:
        return ""
    first, last = (times.show(one, zone) for one in (found.first, found.last))
    return f", all at {first}" if first == last else f", from {first} to {last}"


def print_hits_csv(answers: "list[Answer]", *, by_stay: bool) -> None:
    """A row for each hit; by stay, for the best of each, with how many there are and from when to
    when."""
    rows: list[dict[str, object]] = []
    for answer in answers:
        found: list[dict[str, object]] = [
            {"query": answer.query, **documents.hit(hit, answer.zone)} for hit in answer.hits
        ]
        if answer.stays is not None:
            for row, stay in zip(found, answer.stays, strict=True):
                row |= {"start": stay.start, "end": stay.end, "count": len(stay.hits)}
        rows += found
    columns = ("query", *documents.HitDocument.__annotations__, *(OF_STAY if by_stay else ()))
    output.print_csv(rows, columns=columns)


def print_answer(answer: "Answer") -> None:
    styles = {True: "green", False: "red", None: ""}
    title = output.one_line(answer.query)
    if answer.camera is not None:
        title += f", camera {answer.camera}"
    if answer.more:
        title += f", together with {_named(answer.more)}"
    if answer.unlike:
        title += f"; not {_named(answer.unlike)}"
    found = answer.stays
    output.print_table(
        _hit_rows(answer) if found is None else _stay_rows(found, answer.unit, answer.zone),
        columns=HITS if found is None else STAYS,
        title=title,
        styles=[styles[sheet.verdict(answer, hit)] for hit in answer.hits],
    )
    if not answer.hits:
        output.say("No hits.")
    if answer.ranking.words:
        output.say(f"Ranked by {', '.join(answer.ranking.words)}; --plain ranks without.")


def _named(asked: "Sequence[Asked]") -> str:
    """The first few by name."""
    shown = [output.one_line(one.query) for one in asked[:SHOWN_PICTURES]]
    more = len(asked) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])])


def _hit_rows(answer: "Answer") -> "list[Cells]":
    several = len({hit.site for hit in answer.hits}) > 1
    return [
        (
            hit.rank,
            hit.score,
            hit.identity,
            hit.site if several else None,
            hit.camera,
            hit.sequence,
            hit.frame,
            _when(hit.timestamp, answer.zone),
            _from_here(hit.path),
        )
        for hit in answer.hits
    ]


def _stay_rows(stays: "Sequence[Stay]", unit: str | None, zone: times.Zone) -> "list[Cells]":
    several = len({stay.site for stay in stays}) > 1
    return [
        (
            number,
            stay.site if several else None,
            stay.camera,
            stay.sequence,
            first := in_words(stay.start, unit, zone),
            _later(first, in_words(stay.end, unit, zone)),
            len(stay.hits),
            stay.hits[0].score,
            stay.hits[0].identity,
            _from_here(stay.hits[0].path),
        )
        for number, stay in enumerate(stays, start=1)
    ]


def print_evaluation(evaluation: "Evaluation") -> None:
    rows = [(name, f"{value:.2%}") for name, value in evaluation.numbers()]
    title = f"{evaluation.queries} queries, {evaluation.gallery} gallery images"
    used = evaluation.ranking.calibration
    output.print_table(rows, columns=(evaluation.title, evaluation.encoder), title=title)
    if used and used.by_identity:
        output.say("The transit times were learned from the identities that are measured here.")
    if evaluation.camera_pairs:
        _print_camera_pairs(evaluation.camera_pairs)
    apart = evaluation.other_cameras
    if apart:
        output.say(
            "With each probe's whole camera ruled out, which is not the protocol: "
            f"Rank-1 {apart.cmc[1]:.2%}, mAP {apart.mAP:.2%}."
        )
    if evaluation.unlabelled:
        output.say(
            f"{evaluation.unlabelled} gallery images have no known identity and are left out."
        )
    if evaluation.queries_without_positive:
        output.say(
            f"{evaluation.queries_without_positive} queries have no image from another camera "
            "and are left out."
        )
    output.say(", ".join(f"{step} {value:.2f} s" for step, value in evaluation.seconds.items()))


def print_comparison(found: "Comparison") -> None:
    """Both encoders' numbers side by side, and how sure the difference is."""
    both = (found.first, found.second)
    numbers = zip(found.first.numbers(), found.second.numbers(), strict=True)
    rows = [(name, f"{a:.2%}", f"{b:.2%}") for (name, a), (_, b) in numbers]
    title = f"{found.first.queries} queries, {found.first.gallery} gallery images"
    columns = (found.first.title, *(one.encoder for one in both))
    output.print_table(rows, columns=columns, title=title)
    output.say(
        f"mAP {found.difference:+.2%}, between {found.low:+.2%} and {found.high:+.2%} at 95 % "
        f"(paired bootstrap over {found.probes} probes); AP better on {found.better}, worse on "
        f"{found.worse}."
    )


def _print_camera_pairs(pairs: dict[tuple[str, str], float]) -> None:
    cameras = names.in_order({camera for pair in pairs for camera in pair})
    rows = [
        (f"camera {a}", *(f"{pairs[a, b]:.1%}" if (a, b) in pairs else "" for b in cameras))
        for a in cameras
    ]
    output.print_table(
        rows,
        columns=("probe", *cameras),
        title="mAP where the gallery is one camera alone",
    )


def print_exploration(found: "Exploration") -> None:
    """The numbers, and what is to be looked at."""
    output.print_table(exploration.numbers(found), columns=("", "found"), title=found.source)
    output.print_table(
        [(split, *kinds.values()) for split, kinds in found.splits.items()],
        columns=("split", "people", "junk", "distractors", "not known"),
    )
    spreads = [(name, documents.spread(values)) for name, values in exploration.spreads(found)]
    output.print_table(
        [
            (name, *(f"{value:,.4g}" for value in spread.values() if isinstance(value, float)))
            for name, spread in spreads
            if spread["least"] is not None
        ],
        columns=("", "least", "median", "mean", "most"),
    )
    if 1 < len(found.cameras) <= exploration.MATRIX:
        output.print_table(
            [(a, *row) for a, row in zip(found.cameras, found.shared.tolist(), strict=True)],
            columns=("camera", *found.cameras),
            title="People whom two cameras share",
        )
    for note in found.notes:
        output.say(f"Note: {output.one_line(note)}")
    for failure in found.failures[:SHOWN_FAILURES]:
        output.say(f"Cannot be read: {output.one_line(failure.path)}: {failure.reason}")
    if len(found.failures) > SHOWN_FAILURES:
        output.say(f"... and {len(found.failures) - SHOWN_FAILURES} more; --json lists them all")
    if found.suspects is None:
        output.say("Suspicious labels: ingest these crops, then `reidsearch explore --stored`.")
    elif found.suspects:
        output.print_table(
            [
                (number, one.crop.path, one.own_score, one.other_score, one.other.identity)
                for number, one in enumerate(found.suspects[:SHOWN_SUSPECTS], start=1)
            ],
            columns=("", "suspicious label", "own", "other", "is like"),
            title="Crops whose nearest from other cameras all are somebody else",
        )
        if len(found.suspects) > SHOWN_SUSPECTS:
            output.say(f"... and {len(found.suspects) - SHOWN_SUSPECTS} more; --json lists them.")
    output.say(f"{found.seconds:.1f} s")


def print_calibration(learned: "Calibration") -> None:
    document = learned.document()
    rows = [item for item in document.items() if not item[0].startswith("thresholds")]
    output.print_table(rows, columns=("", "transit times"))
    found = learned.distributions
    output.print_table(
        [
            (f"1 in {1 / rate:,.0f}", *(one.threshold(rate) for one in found.values()))
            for rate in RATES
        ],
        columns=("false matches", *(SCORES[kind] for kind in found)),
        title="The least score of a match, where so many pairs of different people reach it",
    )
    if not learned.transit.pairs:
        output.say("No stored image has a time, so that there were no transit times to learn.")
    if learned.by_times:
        output.say(
            "Identities are not used: pairs count as of different people where the time between "
            "them is rare for one person."
        )
    elif not learned.by_identity:
        output.say(
            "Identities are not used, so pairs of one person count among those of different people "
            "and make thresholds too strict; calibrate --source gallery uses known identities."
        )


def print_trace(found: "Trace") -> None:
    """A row for each stay, in time order."""
    rows = _stay_rows(found.stays, found.unit, found.zone)
    output.print_table(rows, columns=STAYS, title=output.one_line(found.query))
    if found.calibrated is not None:
        output.say(
            f"Learned from {found.calibrated:,} images what times and scores say; from now on "
            "ingest keeps that current, and query uses it, too."
        )
    by = ", ".join(("cosine", *found.ranking.words))
    output.say(f"Scores by {by}, of at least {found.threshold:.3f}{_told(found)}.")
    if not found.stays and found.nearest is not None:
        output.say(
            f"Nobody. The nearest has {found.nearest:.3f}: --min-score {_below(found.nearest)} "
            "shows it; another picture of the person, or --camera and --time after "
            "reidsearch calibrate, may find more."
        )
    elif not found.stays:
        output.say("Nothing is stored of what was asked for.")


def _told(found: "Trace") -> str:
    """What a trace's threshold means, and who says so."""
    if found.rate is None:
        return ""
    whose = "this gallery's calibration" if found.origin == "gallery" else "the encoder"
    pairs = f"1 in {1 / found.rate:,.0f} pairs of different people"
    if found.crowd is None:
        return f", which {pairs} reach, as {whose} tells"
    above = found.threshold - found.crowd
    return (
        f", {above:.3f} above the crowd that is like this picture: so far out of it stand {pairs}, "
        f"as {whose} tells"
    )


def _later(first: str, last: str) -> str:
    """The later of two times, without the date that both have; nothing where it is the first."""
    if last == first:
        return ""
    date, _, clock = last.partition(" ")
    return clock if date.count("-") == 2 and first.startswith(f"{date} ") else last


def _below(score: float) -> str:
    return f"{math.floor(score * 100) / 100:.2f}"


def _when(seconds: float | None, zone: times.Zone) -> str | None:
    return None if seconds is None else times.show(seconds, zone)


def _from_here(path: str) -> str:
    return path.removeprefix(f"{Path.cwd()}{os.sep}")
