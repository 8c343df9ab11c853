"""``reidsearch forget``"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json, moment
from reidsearch.errors import UsageError


def forget(
    ctx: typer.Context,
    identity: Annotated[
        int | None, typer.Option(min=-1, help="All images of this identity.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="This image; repeatable.")
    ] = None,
    before: Annotated[
        str, typer.Option(help="All images taken before this date: ISO 8601, or seconds.")
    ] = "",
    camera: Annotated[int | None, typer.Option(min=0, help="All images of this camera.")] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only images of this data set.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be forgotten, and change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove images with all that was made of them, down to the bytes in the stores' files.

    Several options together mean the images that fit them all.
    """
    from reidsearch import forget as forgetting
    from reidsearch import gallery

    selection = forgetting.Selection(
        identity, tuple(image or ()), moment(before, "--before"), camera, dataset
    )
    catalog = gallery.open_catalog(ctx.obj)
    try:
        rows = forgetting.select(catalog, selection)
    finally:
        catalog.close()
    if dry_run:
        _say_selected(rows, json=json)
        return
    if rows and not yes:
        _confirm(rows)
    gone = forgetting.forget(ctx.obj, rows)
    if json:
        output.print_json(
            {"images": gone.images, "vectors": gone.vectors, "compacted": gone.compacted}
        )
    elif not gone.images:
        output.say("Nothing that is stored fits.")
    else:
        output.print_table(
            [("images", gone.images), ("vectors", gone.vectors)], columns=("", "forgotten")
        )
    if gone.backups:
        output.say("The catalog's backups went too: they held the same rows.")
    if not gone.compacted:
        output.say("The Qdrant server drops the bytes from its disk when it next optimises.")
    if gone.images:
        output.say(
            "The files were left alone; while they are there, an ingest takes them in again."
        )


def _say_selected(rows: list[Any], *, json: bool) -> None:
    paths = [str(Path(row.root) / row.path) for row in rows]
    if json:
        output.print_json({"images": len(paths), "paths": paths})
        return
    output.print_table([(path,) for path in paths], columns=("would be forgotten",))
    output.say(f"{len(paths)} images; nothing was changed.")


def _confirm(rows: list[Any]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{len(rows)} images would be forgotten, and there is nobody to ask",
            hint="Look with --dry-run, then give --yes.",
        )
    people = len({(row.dataset, row.identity) for row in rows})
    output.say(f"{len(rows)} images of {people} identities, {rows[0].path} for one.")
    typer.confirm("Forget them for good?", abort=True, err=True)
