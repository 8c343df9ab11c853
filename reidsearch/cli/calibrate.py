"""``reidsearch calibrate``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json


def calibrate(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            help="train or gallery: from that split's identities; matches: without identities, "
            "from the gallery's own matches across cameras. By default train where it is stored.",
        ),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write a page that draws scores and thresholds to this folder."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Learn the times that people take from camera to camera and what scores say, and let stored
    vectors carry their neighbours."""
    from reidsearch.cli import show
    from reidsearch.gallery import Gallery
    from reidsearch.views import calibration

    with Gallery(ctx.obj, purpose="calibrate") as gallery:
        learned = gallery.calibrate(source=source or None, report=report)
    if report is not None:
        output.say(f"Report: {report / calibration.PAGE}")
    if json:
        output.print_json(learned.document())
    else:
        show.print_calibration(learned)
