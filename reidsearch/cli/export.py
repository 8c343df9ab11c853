"""``reidsearch export``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json


def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The file to write.")],
    json: Json = False,
) -> None:
    """Write vectors, identities, cameras and paths to one NumPy file."""
    from reidsearch.gallery import Gallery

    with Gallery(ctx.obj, purpose="export") as gallery:
        counts = gallery.export(out)
    if json:
        output.print_json(counts)
    else:
        output.print_table(list(counts.items()), columns=("", "vectors"))
