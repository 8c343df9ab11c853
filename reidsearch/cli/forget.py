"""``reidsearch forget``"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json, moment
from reidsearch.errors import UsageError

if TYPE_CHECKING:
    from reidsearch.catalog.records import ImageRecord
    from reidsearch.forget import Forgotten


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
    from reidsearch.gallery import Gallery

    with Gallery(ctx.obj, purpose="forget") as gallery:
        gone = gallery.forget(
            identity=identity,
            images=image or (),
            before=moment(before, "--before"),
            camera=camera,
            dataset=dataset,
            dry_run=dry_run,
            confirm=None if yes else _confirm,
        )
    if dry_run:
        _print_selected(gone, json=json)
        return
    if json:
        output.print_json(gone.document())
    elif not gone.images:
        output.say("Nothing that is stored fits.")
    else:
        output.print_table(
            [("images", len(gone.images)), ("vectors", gone.vectors)], columns=("", "forgotten")
        )
    if gone.backups:
        output.say("The catalog's backups went too: they held the same rows.")
    if not gone.compacted:
        output.say("The Qdrant server drops the bytes from its disk when it next optimises.")
    if gone.images:
        output.say(
            "The files were left alone; while they are there, an ingest takes them in again."
        )


def _print_selected(gone: "Forgotten", *, json: bool) -> None:
    if json:
        from reidsearch import documents

        output.print_json(documents.selected(gone))
        return
    output.print_table([(str(path),) for path in gone.images], columns=("would be forgotten",))
    output.say(f"{len(gone.images)} images; nothing was changed.")


def _confirm(images: Sequence["ImageRecord"]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{len(images)} images would be forgotten, and there is nobody to ask",
            hint="Look with --dry-run, then give --yes.",
        )
    people = len({(one.dataset, one.identity) for one in images})
    output.say(f"{len(images)} images of {people} identities, {images[0].path} for one.")
    typer.confirm("Forget them for good?", abort=True, err=True)
