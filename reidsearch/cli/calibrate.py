"""``reidsearch calibrate``"""

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
    json: Json = False,
) -> None:
    """Learn the times that people take from camera to camera and what scores say, and let stored
    vectors carry their neighbours."""
    from reidsearch.cli import show
    from reidsearch.gallery import Gallery

    with Gallery(ctx.obj, purpose="calibrate") as gallery:
        learned = gallery.calibrate(source=source or None)
    if json:
        output.print_json(learned.document())
    else:
        show.print_calibration(learned)
