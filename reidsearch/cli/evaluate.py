"""``reidsearch evaluate``"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch import config
from reidsearch.cli import output
from reidsearch.cli.options import Json, SpatioTemporal

if TYPE_CHECKING:
    from reidsearch.evaluate import Evaluation


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
    from reidsearch import compare as comparing
    from reidsearch import gallery
    from reidsearch.cli import show
    from reidsearch.evaluate import evaluate as run
    from reidsearch.views import report as reports

    if report is not None:
        reports.check()

    def evaluated(settings: config.Config) -> "Evaluation":
        with gallery.open_existing(settings, purpose="evaluate") as opened:
            result = run(
                opened,
                multi_query=multi_query,
                rerank=rerank,
                camera_pairs=camera_pairs or report is not None,
                spatio_temporal=spatio_temporal,
            )
            if report is not None and settings is ctx.obj:
                page = reports.write(result, opened, report, title=show.variant(result))
                output.say(f"Report: {page}")
        return result

    evaluation = evaluated(ctx.obj)
    if compare is not None:
        other = evaluated(replace(ctx.obj, encoder=compare))
        comparison = comparing.compare(evaluation, other)
        if json:
            output.print_json(show.comparison_document(comparison))
        else:
            show.print_comparison(comparison)
    elif json:
        output.print_json(show.evaluation_document(evaluation))
    else:
        show.print_evaluation(evaluation)
