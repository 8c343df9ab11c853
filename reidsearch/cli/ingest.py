"""``reidsearch ingest``"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import REJECTED, FollowLinks, Json, Root
from reidsearch.types import Split

if TYPE_CHECKING:
    from reidsearch.losses import Loss


def ingest(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(help="A published data set, a folder of crops, or a CSV manifest.")
    ],
    split: Annotated[
        list[Split] | None,
        typer.Option(help="Parts to take in; repeatable. By default query and gallery."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The data set's name, by default its folder's."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where its cameras and people are; data sets of one site share them.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT",
            help="How its folders are meant: people (a folder for each), cameras, folder (any), "
            "market1501, dukemtmc, msmt17, cuhk03, mars, veri, or an installed package's.",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="How its paths are made, '{camera}/{identity}_*' for one; * is anything, other "
            "fields are sequence, frame, timestamp and split.",
        ),
    ] = None,
    root: Root = None,
    follow_links: FollowLinks = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove stored images that the data set no longer has."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, however much --prune removes.")
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
        summary = gallery.ingest(
            path,
            splits=split,
            name=name,
            site=site,
            layout=layout,
            pattern=pattern,
            root=root,
            follow_links=follow_links,
            prune="all" if prune and yes else prune,
            confirm=_confirm if sys.stdin.isatty() else None,
            on_progress=progress,
        )
    if json:
        output.print_json(summary.document())
    else:
        show.print_ingest(summary, ctx.obj.timezone)
    if summary.failures:
        raise typer.Exit(REJECTED)


def _confirm(loss: "Loss") -> None:
    output.say(f"{output.one_line(str(loss))}.")
    typer.confirm("Remove them for good?", abort=True, err=True)
