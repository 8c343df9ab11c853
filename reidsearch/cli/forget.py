"""``reidsearch forget``"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch import times
from reidsearch.cli import output
from reidsearch.cli.options import Json, OfDataset, Site, moment, say_idle
from reidsearch.cli.tables import print_table
from reidsearch.errors import UsageError
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.catalog.records import EncoderRecord, ImageRecord
    from reidsearch.forgetting.removal import Forgotten


def forget(
    ctx: typer.Context,
    identity: Annotated[
        str | None, typer.Option(metavar="NAME", help="All images of this person.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="This image; repeatable.")
    ] = None,
    before: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="All images taken before this time; those without one, first taken in before it.",
        ),
    ] = "",
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="All images of this camera.")
    ] = None,
    dataset: OfDataset = None,
    site: Site = None,
    vectors_of: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER",
            help="All vectors of this encoder, by its name or the beginning of its fingerprint; "
            "images stay that another encoder knows.",
        ),
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
    from reidsearch.opening import opened

    say_idle((yes and dry_run, "--yes", "with --dry-run"))
    if vectors_of is not None:
        if image or before or {identity, camera, dataset, site} != {None}:
            raise UsageError("--vectors-of stands alone", hint="Forget images by another command.")
        with opened(ctx.obj, purpose="forget") as gallery:
            gone = gallery.forget_encoder(
                vectors_of, dry_run=dry_run, confirm=None if yes else _confirm_encoder
            )
        _print_gone(gone, json=json, dry_run=dry_run)
        return
    until = moment(before, "--before", ctx.obj.timezone)
    if until is not None:
        output.say(f"Before {times.show(until, ctx.obj.timezone)}.")
    with opened(ctx.obj, purpose="forget") as gallery:
        gone = gallery.forget(
            identity=identity,
            images=image or (),
            before=until,
            camera=camera,
            dataset=dataset,
            site=site,
            dry_run=dry_run,
            confirm=None if yes else _confirm,
        )
    _print_gone(gone, json=json, dry_run=dry_run)


def _print_gone(gone: "Forgotten", *, json: bool, dry_run: bool) -> None:
    if dry_run:
        _print_selected(gone, json=json)
        return
    if json:
        output.print_json(gone.document())
    elif not gone.images and not gone.vectors and not gone.waiting:
        output.say("Nothing that is stored fits.")
    else:
        rows = [("images", len(gone.images)), ("vectors", gone.vectors)]
        rows += [("crops that waited", gone.waiting)] if gone.waiting else []
        print_table(rows, columns=("", "forgotten"))
    if gone.backups:
        output.say("The catalog's backups went too: they held the same rows.")
    for one in gone.left:
        output.say(
            f"The {one.part} that were left at {one.address} could not be removed and are there "
            "still: reidsearch move --remove-old, once it answers."
        )
    if not gone.compacted:
        output.say("The Qdrant server drops the bytes from its disk when it next optimises.")
    if gone.images:
        output.say(
            "The files were left alone; while they are there, an ingest takes them in again."
        )


def _print_selected(gone: "Forgotten", *, json: bool) -> None:
    if json:
        from reidsearch.documents.forgetting import selected_document

        output.print_json(selected_document(gone))
        return
    if gone.images:
        print_table([(Path(path),) for path in gone.images], columns=("would be forgotten",))
    vectors = f" and {counted(gone.vectors, 'vector')}" if gone.vectors else ""
    crops = f" and {counted(gone.waiting, 'pushed crop')} not stored yet" if gone.waiting else ""
    output.say(f"{counted(len(gone.images), 'image')}{vectors}{crops}; nothing was changed.")


def _confirm(images: Sequence["ImageRecord"]) -> None:
    _require_somebody(counted(len(images), "image"))
    known = {(one.site, one.identity) for one in images if one.identity is not None}
    of = f" of {counted(len(known), 'person', 'people')}" if known else ""
    output.say(f"{counted(len(images), 'image')}{of}, {output.one_line(images[0].path)} for one.")
    typer.confirm("Forget them for good?", abort=True, err=True)


def _confirm_encoder(encoder: "EncoderRecord", images: Sequence["ImageRecord"]) -> None:
    vectors = counted(encoder.indexed, "vector")
    what = f"{vectors} of {encoder.name} ({encoder.fingerprint[:8]})"
    _require_somebody(what)
    whole = f", and {counted(len(images), 'image')} no other encoder knows" if images else ""
    output.say(f"{what}{whole}.")
    typer.confirm("Forget them for good?", abort=True, err=True)


def _require_somebody(what: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{what} would be forgotten, and there is nobody to ask",
            hint="Look with --dry-run, then give --yes.",
        )
