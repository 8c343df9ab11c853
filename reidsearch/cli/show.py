"""How results look: as CSV and tables."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch import documents
from reidsearch.cli import output
from reidsearch.ranking.clock import in_words
from reidsearch.ranking.scores import RATES
from reidsearch.views import sheet

if TYPE_CHECKING:  # a command loads its own verb alone
    from reidsearch.answer import Answer
    from reidsearch.compare import Comparison
    from reidsearch.evaluate import Evaluation
    from reidsearch.ingest import IngestSummary
    from reidsearch.ranking.calibration import Calibration
    from reidsearch.trace import Trace

SHOWN_FAILURES = 10


def print_ingest(summary: "IngestSummary") -> None:
    rows = [(split, count) for split, count in sorted(summary.splits.items())]
    rows += [("ingested", summary.ingested), ("unchanged", summary.unchanged)]
    rows += [("failed", len(summary.failures))]
    extra = {"renamed": summary.moved, "too old": summary.expired, "removed": summary.pruned}
    rows += [(name, count) for name, count in extra.items() if count]
    output.print_table(rows, columns=("", "images"))
    rate = f", {summary.images_per_second:.0f} images/s" if summary.ingested else ""
    output.say(f"{summary.seconds:.1f} s{rate}")
    for failure in summary.failures[:SHOWN_FAILURES]:
        output.say(f"Rejected {output.one_line(failure.path)}: {failure.reason}")
    if len(summary.failures) > SHOWN_FAILURES:
        output.say(f"... and {len(summary.failures) - SHOWN_FAILURES} more; --json lists them all")
    if summary.calibrated is not None:
        output.say(f"The gallery has changed; calibrated anew from {summary.calibrated} images.")
    if summary.vanished:
        output.say(
            f"{len(summary.vanished)} stored images are not in the data set any more, "
            f"{output.one_line(summary.vanished[0])} for one. They stay; --prune removes them."
        )


HIT_COLUMNS = ("rank", "score", "id", "identity", "camera", "sequence", "frame", "split", "path")


def print_hits_csv(answers: "list[Answer]") -> None:
    rows = [{"query": a.query, **documents.hit(hit)} for a in answers for hit in a.hits]
    output.print_csv(rows, columns=("query", *HIT_COLUMNS))


def print_answer(answer: "Answer") -> None:
    styles = {True: "green", False: "red", None: ""}
    columns = [column for column in HIT_COLUMNS if column not in ("id", "split")]
    here = f"{Path.cwd()}{os.sep}"
    where = "" if answer.camera is None else f", camera {answer.camera}"
    output.print_table(
        [
            [getattr(hit, column) for column in columns[:-1]] + [hit.path.removeprefix(here)]
            for hit in answer.hits
        ],
        columns=columns,
        title=f"{output.one_line(answer.query)}{where}",
        styles=[styles[sheet.verdict(answer, hit)] for hit in answer.hits],
    )
    if not answer.hits:
        output.say("No hits.")


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


def _print_camera_pairs(pairs: dict[tuple[int, int], float]) -> None:
    cameras = sorted({camera for pair in pairs for camera in pair})
    rows = [
        (f"camera {a}", *(f"{pairs[a, b]:.1%}" if (a, b) in pairs else "" for b in cameras))
        for a in cameras
    ]
    output.print_table(
        rows,
        columns=("probe", *map(str, cameras)),
        title="mAP where the gallery is one camera alone",
    )


def print_calibration(learned: "Calibration") -> None:
    document = learned.document()
    rows = [item for item in document.items() if not item[0].startswith("thresholds")]
    output.print_table(rows, columns=("", "transit times"))
    found = (learned.cosines, learned.scores)
    output.print_table(
        [(f"1 in {1 / rate:,.0f}", *(one.threshold(rate) for one in found)) for rate in RATES],
        columns=("false matches", "cosine", "with transit times"),
        title="The least score of a match, where so many pairs of different people reach it",
    )
    if not learned.by_identity:
        output.say(
            "Identities are not used, so pairs of one person count among those of different people "
            "and make thresholds too strict; calibrate --source gallery uses known identities."
        )


def print_trace(found: "Trace") -> None:
    """A row for each stay, in time order."""
    rows = [
        (
            number,
            stay.camera,
            stay.sequence,
            in_words(stay.start, found.unit),
            in_words(stay.end, found.unit),
            len(stay.hits),
            stay.hits[0].score,
            stay.hits[0].identity,
            stay.hits[0].path.removeprefix(f"{Path.cwd()}{os.sep}"),
        )
        for number, stay in enumerate(found.stays, start=1)
    ]
    columns = ("", "camera", "sequence", "from", "to", "hits", "score", "identity", "best hit")
    output.print_table(rows, columns=columns, title=output.one_line(found.query))
    by = "cosine and transit times" if found.spatio_temporal else "cosine"
    rate = ""
    if found.rate is not None:
        rate = f", which 1 in {1 / found.rate:,.0f} pairs of different people reach"
    output.say(f"Scores by {by}, of at least {found.threshold:.3f}{rate}.")
