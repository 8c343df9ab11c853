"""``reidsearch explore``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import FollowLinks, Json, Root
from reidsearch.errors import UsageError
from reidsearch.types import Split


def explore(
    ctx: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(help="A published data set, a folder of crops, or a CSV manifest."),
    ] = None,
    stored: Annotated[
        bool,
        typer.Option("--stored", help="Look at what is stored instead, and for suspicious labels."),
    ] = False,
    split: Annotated[
        list[Split] | None, typer.Option(help="Parts to look at; repeatable. By default all.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(metavar="LAYOUT", help="How its folders are meant, as in `ingest`."),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="How its paths are made, as in `ingest`."),
    ] = None,
    root: Root = None,
    follow_links: FollowLinks = False,
    save: Annotated[
        Path | None, typer.Option(help="Also write a page with plots and sample crops; .html.")
    ] = None,
    json: Json = False,
) -> None:
    """Look at a data set before it is used: who is on it, how it looks, what may be wrong."""
    from reidsearch.cli import show
    from reidsearch.gallery import Gallery
    from reidsearch.views import endings, exploration

    if stored == (path is not None):
        raise UsageError(
            "explore looks at a PATH or, with --stored, at what is stored", hint="Give one of them."
        )
    if save is not None:
        endings.check(save, exploration.ENDINGS)
    with Gallery(ctx.obj, purpose="explore") as gallery:
        found = gallery.explore(
            path,
            splits=split,
            layout=layout,
            pattern=pattern,
            root=root,
            follow_links=follow_links,
        )
    if json:
        output.print_json(found.document())
    else:
        show.print_exploration(found)
    if save is not None:
        found.save(save)
        output.say(f"Page: {save}")
