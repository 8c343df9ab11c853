"""``reidsearch export``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.errors import UsageError


def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The file to write.")],
    json: Json = False,
) -> None:
    """Write vectors, identities, cameras and paths to one NumPy file."""
    from reidsearch import gallery
    from reidsearch.export import export as run

    if out.suffix != ".npz":
        raise UsageError(f"{out} does not end in .npz", hint="Name it like gallery.npz.")
    with gallery.open_existing(ctx.obj, purpose="export") as opened:
        counts = run(opened, out)
    if json:
        output.print_json(counts)
    else:
        output.print_table(list(counts.items()), columns=("", "vectors"))
