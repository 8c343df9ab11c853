"""``reidsearch calibrate``"""

from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.errors import UsageError


def calibrate(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            help="train or gallery: from that split's identities; matches: without identities, "
            "from the gallery's own matches across cameras. By default train where it is stored.",
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Learn the times that people take from camera to camera, and what scores say."""
    from reidsearch import gallery
    from reidsearch.calibrate import Source
    from reidsearch.calibrate import calibrate as run
    from reidsearch.cli import show

    if source and source not in list(Source):
        raise UsageError(f"--source {source} is none of {', '.join(Source)}")
    with gallery.open_existing(ctx.obj, purpose="calibrate") as opened:
        learned = run(opened, source=Source(source) if source else None)
    if json:
        output.print_json(show.calibration_document(learned))
    else:
        show.print_calibration(learned)
