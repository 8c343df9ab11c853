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
    from reidsearch.cli import show
    from reidsearch.gallery import Gallery

    with (
        Gallery(ctx.obj, purpose="ingest") as gallery,
        output.ingest_progress(quiet=ctx.meta["quiet"]) as progress,
    ):
        summary = gallery.ingest(path, splits=split, name=name, prune=prune, on_progress=progress)
    if json:
        output.print_json(summary.document())
    else:
        show.print_ingest(summary)
    if summary.failures:
        raise typer.Exit(REJECTED)
