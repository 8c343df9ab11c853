"""``reidsearch trace``"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json, ProbeCamera, ProbeTime, moment
from reidsearch.errors import NotCalibrated


def trace(
    ctx: typer.Context,
    probe: Annotated[Path, typer.Argument(metavar="IMG", help="A picture of the person.")],
    false_matches: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            max=0.5,
            help="Take scores that at most this share of the pairs of different people reach; by "
            "default 0.0001, or more where the gallery is small.",
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Take scores from here on, without a calibration.")
    ] = None,
    camera: ProbeCamera = None,
    time: ProbeTime = "",
    save: Annotated[
        Path | None, typer.Option(help="Also draw it, a lane for each camera; .png.")
    ] = None,
    json: Json = False,
) -> None:
    """Where was this person? Stays at cameras, in time order."""
    from reidsearch import audit, calibrate, gallery
    from reidsearch import trace as tracing
    from reidsearch.cli import show
    from reidsearch.encoder import Encoder
    from reidsearch.views import lanes

    timestamp = moment(time, "--time")
    if save is not None:
        lanes.check(save)
    with gallery.open_existing(ctx.obj, purpose="trace") as opened:
        try:
            calibration = calibrate.load(opened)
        except NotCalibrated:
            calibration = None
        found = tracing.trace(
            probe,
            gallery=opened,
            encoder=Encoder(ctx.obj.encoder, device=ctx.obj.device),
            calibration=calibration,
            rate=false_matches,
            min_score=min_score,
            camera=camera,
            timestamp=timestamp,
        )
        audit.record(
            opened.catalog,
            ctx.obj,
            command="trace",
            probe=probe,
            filters={"camera": found.camera, "threshold": found.threshold, "rate": found.rate},
            hits=sum(len(stay.hits) for stay in found.stays),
        )
    if json:
        output.print_json(asdict(found))
    else:
        show.print_trace(found)
    if save is not None:
        lanes.draw(found, save)
        output.say(f"Picture: {save}")
