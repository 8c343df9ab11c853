"""``reidsearch calibrate``"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import OUTPUT, Json
from reidsearch.cli.tables import print_table
from reidsearch.words import one_in

if TYPE_CHECKING:
    from reidsearch.ranking.calibration import Calibration


def calibrate(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="train or gallery: from that split's identities; matches: without identities, "
            "from the gallery's own matches across cameras. By default train where it is stored.",
        ),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write a page that draws scores and thresholds to this folder.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Learn the times that people take from camera to camera and what scores say, and let stored
    vectors carry their neighbours."""
    from reidsearch.opening import opened
    from reidsearch.views import calibration

    with opened(ctx.obj, purpose="calibrate") as gallery:
        learned = gallery.calibrate(source=source or None, report=report)
    if report is not None:
        output.say(f"Report: {report / calibration.PAGE}")
    if json:
        output.print_json(learned.document())
    else:
        _print_calibration(learned)


def _print_calibration(learned: "Calibration") -> None:
    from reidsearch.ranking.calibration import SCORES
    from reidsearch.ranking.scores import RATES

    document = learned.document()
    rows = [item for item in document.items() if not item[0].startswith("thresholds")]
    print_table(rows, columns=("", "transit times"))
    found = learned.distributions
    print_table(
        [(one_in(rate), *(one.threshold(rate) for one in found.values())) for rate in RATES],
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
            "The gallery's identities are not used, so pairs of one person count among those of "
            "different people and make thresholds too strict; calibrate --source gallery uses "
            "those that are known."
        )
