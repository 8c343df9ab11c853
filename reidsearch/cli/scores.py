"""What an evaluation measured, as tables."""

from typing import TYPE_CHECKING

from reidsearch import names
from reidsearch.cli import output
from reidsearch.cli.tables import print_matrix, print_table
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.evaluation.compare import Comparison
    from reidsearch.evaluation.protocol import Evaluation


def print_evaluation(evaluation: "Evaluation") -> None:
    """The numbers, and what is to be known beside them."""
    rows = [(name, f"{value:.2%}") for name, value in evaluation.numbers()]
    title = f"{evaluation.queries:,} queries, {evaluation.gallery:,} gallery images"
    used = evaluation.ranking.calibration
    print_table(rows, columns=(evaluation.title, evaluation.encoder), title=title)
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
        known = "no known identity and"
        are = counted(
            evaluation.unlabelled,
            f"gallery image has {known} is",
            f"gallery images have {known} are",
        )
        output.say(f"{are} left out.")
    if evaluation.queries_of_nobody:
        are = counted(evaluation.queries_of_nobody, "query is", "queries are")
        output.say(
            f"{are} of nobody (the identity is 0, -1 or not known) and left out. People are "
            "numbered from 1."
        )
    if evaluation.queries_without_positive:
        right = "no image from another camera and"
        are = counted(
            evaluation.queries_without_positive,
            f"query has {right} is",
            f"queries have {right} are",
        )
        output.say(f"{are} left out.")
    output.say(", ".join(f"{step} {value:.2f} s" for step, value in evaluation.seconds.items()))


def print_comparison(found: "Comparison") -> None:
    """Both encoders' numbers side by side, and how sure the difference is."""
    both = (found.first, found.second)
    numbers = zip(found.first.numbers(), found.second.numbers(), strict=True)
    rows = [(name, f"{a:.2%}", f"{b:.2%}") for (name, a), (_, b) in numbers]
    title = f"{found.first.queries:,} queries, {found.first.gallery:,} gallery images"
    columns = (found.first.title, *(one.encoder for one in both))
    print_table(rows, columns=columns, title=title)
    output.say(f"{found.words}.")


def _print_camera_pairs(pairs: dict[tuple[str, str], float]) -> None:
    cameras = names.in_order({camera for pair in pairs for camera in pair})
    rows = [
        (f"camera {a}", *(f"{pairs[a, b]:.1%}" if (a, b) in pairs else "" for b in cameras))
        for a in cameras
    ]
    print_matrix(
        rows,
        columns=("probe", *cameras),
        title="mAP where the gallery is one camera alone",
    )
