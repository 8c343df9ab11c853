"""``reidsearch evaluate``"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import (
    OUTPUT,
    RANKING,
    Expand,
    Json,
    SpatioTemporal,
    command_line,
    say_idle,
)


def evaluate(
    ctx: typer.Context,
    multi_query: Annotated[
        bool,
        typer.Option(
            "--multi-query",
            help="Pool each probe's multi-query images (ingest --split multi-query).",
            rich_help_panel=RANKING,
        ),
    ] = False,
    rerank: Annotated[
        bool,
        typer.Option(
            "--rerank", help="Re-rank by k-reciprocal neighbours.", rich_help_panel=RANKING
        ),
    ] = False,
    camera_pairs: Annotated[
        bool,
        typer.Option(
            "--camera-pairs",
            help="Also tell mAP from each camera to each other.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    expand: Expand = False,
    camera_means: Annotated[
        bool,
        typer.Option("--camera-means", help="Take out of all vectors what their cameras add."),
    ] = False,
    spatio_temporal: SpatioTemporal = False,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="ENCODER",
            help="Also evaluate this encoder's vectors, and compare the two.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write a page with plots and contact sheets to this folder.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run the Market-1501 protocol over the stored queries and gallery."""
    from reidsearch.cli import scores
    from reidsearch.evaluation.protocol import Evaluation
    from reidsearch.opening import opened
    from reidsearch.views import report as pages
    from reidsearch.views.made import Made

    unseen = camera_pairs and compare is not None and report is None and not json
    say_idle((unseen, "--camera-pairs", "in a comparison without --report or --json"))
    with opened(ctx.obj, purpose="evaluate") as gallery:
        evaluate = gallery.evaluate if compare is None else partial(gallery.compare, compare)
        result = evaluate(
            multi_query=multi_query,
            rerank=rerank,
            expand=expand,
            camera_means=camera_means,
            spatio_temporal=spatio_temporal,
            camera_pairs=camera_pairs or report is not None,
            details=report is not None,
        )
    if report is not None:
        made = Made(command_line(ctx))
        if isinstance(result, Evaluation):
            page = pages.write([result], report, made)
        else:
            page = pages.write(result.both, report, made, difference=result.words)
        output.say(f"Report: {output.one_line(str(page))}")
    if json:
        output.print_json(result.document())
    elif isinstance(result, Evaluation):
        scores.print_evaluation(result)
    else:
        scores.print_comparison(result)
