"""``reidsearch trace``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import (
    Expand,
    Json,
    OfDataset,
    Plain,
    ProbeCamera,
    ProbeTime,
    Since,
    Site,
    SpatioTemporal,
    Until,
    moment,
)
from reidsearch.cli.pictures import read


def trace(
    ctx: typer.Context,
    probe: Annotated[
        Path, typer.Argument(metavar="IMG", help="A picture of the person, or - for stdin.")
    ],
    false_matches: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            max=0.5,
            help="Take scores that at most this share of the pairs of different people reach; by "
            "default as many as let 1 hit in 10 be somebody else.",
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Take scores from here on, without a calibration.")
    ] = None,
    camera: ProbeCamera = None,
    time: ProbeTime = "",
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = "",
    until: Until = "",
    expand: Expand = False,
    spatio_temporal: SpatioTemporal = False,
    plain: Plain = False,
    save: Annotated[
        Path | None, typer.Option(help="Also draw it, a lane for each camera; .png.")
    ] = None,
    json: Json = False,
) -> None:
    """Where was this person? Stays at cameras, in time order."""
    from reidsearch.cli import show
    from reidsearch.gallery import Gallery
    from reidsearch.views import endings, lanes

    timestamp = moment(time, "--time", ctx.obj.timezone)
    if save is not None:
        endings.check(save, lanes.ENDINGS)
    with Gallery(ctx.obj, purpose="trace") as gallery:
        found = gallery.trace(
            read(probe),
            camera=camera,
            time=timestamp,
            site=site,
            dataset=dataset,
            since=moment(since, "--since", ctx.obj.timezone),
            until=moment(until, "--until", ctx.obj.timezone),
            false_matches=false_matches,
            min_score=min_score,
            expand=expand,
            spatio_temporal=spatio_temporal,
            plain=plain,
        )
    if json:
        output.print_json(found.document())
    else:
        show.print_trace(found)
    if save is not None:
        found.save(save)
        output.say(f"Picture: {save}")
