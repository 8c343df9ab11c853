"""``reidsearch backup``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json


def backup(
    ctx: typer.Context,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="A new file that ends in .zip, or a folder for one named after gallery and time.",
        ),
    ],
    json: Json = False,
) -> None:
    """Write the whole gallery, as it is at one moment, to one file.

    It holds the catalog, all vectors and pushed crops, those that wait to be stored among them,
    each with its checksum, and no pictures of data sets. Nobody changes the gallery meanwhile;
    searches go on, beside a service as well. The file has its name when it is whole. It tells as
    much of people as the gallery does.
    """
    from reidsearch.opening import opened

    with opened(ctx.obj, purpose="backup") as gallery:
        done = gallery.backup(out)
    if json:
        output.print_json(done.document())
        return
    crops = f", {done.crops:,} crops" if done.crops else ""
    crops += f", {done.waiting:,} that wait to be stored" if done.waiting else ""
    output.say(
        f"{done.images:,} images, {done.vectors:,} vectors, {done.expanded:,} expanded ones"
        f"{crops}: {done.bytes / 1e6:,.1f} MB in {done.seconds:.1f} s."
    )
    output.say(f"{done.file}")
    output.say(f"Make a gallery of it with: reidsearch --data-dir NEW restore {done.file}")
