"""``reidsearch ingest``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import REJECTED, Json
from reidsearch.types import Split


def ingest(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(help="A Market-1501 folder, a folder of crops, or a CSV manifest.")
    ],
    split: Annotated[
        list[Split] | None,
        typer.Option(help="Parts to take in; repeatable. By default query and gallery."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The data set's name, by default its folder's.")
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove stored images that the data set no longer has."),
    ] = False,
    json: Json = False,
) -> None:
    """Encode a data set's crops and store them. Running it again changes nothing."""
    from reidsearch import calibrate, datasets, forget, gallery
    from reidsearch.cli import show
    from reidsearch.encoder import Encoder
    from reidsearch.ingest import ingest as run

    dataset = datasets.read(path, splits=split or datasets.DEFAULT_SPLITS, name=name)
    encoder = Encoder(ctx.obj.encoder, device=ctx.obj.device)
    with (
        gallery.create(ctx.obj, encoder) as opened,
        output.ingest_progress(quiet=ctx.meta["quiet"]) as progress,
    ):
        report = run(
            dataset,
            gallery=opened,
            encoder=encoder,
            oldest=ctx.obj.oldest,
            on_progress=progress,
        )
        learned = calibrate.keep_current(opened) if report.ingested else None
        gone = forget.expired(opened.catalog, ctx.obj.oldest)
        if prune:
            gone += forget.of_dataset(opened.catalog, dataset.name, report.vanished)
        owed = opened.catalog.compaction_owed
    if gone or owed:
        report.pruned = forget.forget(ctx.obj, gone, purpose="ingest").images
        report.vanished = [] if prune else report.vanished
    if learned:
        output.say(f"The gallery has changed; calibrated anew from {learned.images} images.")
    if json:
        output.print_json(show.report_document(report))
    else:
        show.print_report(report)
    if report.failures:
        raise typer.Exit(REJECTED)
