"""``reidsearch evaluate``"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Expand, Json, SpatioTemporal


def evaluate(
    ctx: typer.Context,
    multi_query: Annotated[
        bool,
        typer.Option(
            "--multi-query",
            help="Pool each probe's multi-query images (ingest --split multi-query).",
        ),
    ] = False,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Re-rank by k-reciprocal neighbours.")
    ] = False,
    camera_pairs: Annotated[
        bool, typer.Option("--camera-pairs", help="Also tell mAP from each camera to each other.")
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
            metavar="ENCODER", help="Also evaluate this encoder's vectors, and compare the two."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write a page with plots and contact sheets to this folder."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run the Market-1501 protocol over the stored queries and gallery."""
    from reidsearch.cli import show
    from reidsearch.evaluate import Evaluation
    from reidsearch.gallery import Gallery

    with Gallery(ctx.obj, purpose="evaluate") as gallery:
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
        first = result if isinstance(result, Evaluation) else result.first
        output.say(f"Report: {first.report(report)}")
    if json:
        output.print_json(result.document())
    elif isinstance(result, Evaluation):
        show.print_evaluation(result)
    else:
        show.print_comparison(result)
