"""``reidsearch restore``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch import times
from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.cli.tables import print_table
from reidsearch.words import counted


def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` has written.")],
    json: Json = False,
) -> None:
    """Make a gallery from a backup, where there is none.

    The settings say where: --data-dir, --qdrant-url for the vectors, --catalog-url for the catalog;
    these need not be as they were. It is a gallery of its own, and shares nothing with the one that
    the backup is of. Nothing is ever restored over a gallery. Killed or failed, the same command
    goes on.
    """
    from reidsearch import opening

    done = opening.restored(file, ctx.obj)
    if json:
        output.print_json(done.document())
        return
    told = done.document()
    output.say(
        f"{done.images:,} images, {done.vectors:,} vectors and {done.expanded:,} expanded ones, as "
        f"of {times.show(done.made, ctx.obj.timezone)}, each as it was: {done.seconds:.1f} s."
    )
    if done.waiting:
        waiting = counted(done.waiting, "pushed crop waits", "pushed crops wait")
        output.say(f"{waiting} as before, until somebody takes images in.")
    if told["findings"]:
        print_table(list(told["findings"].items()), columns=("doctor says", "of"))
        images = counted(sum(told["findings"].values()), "finding")
        output.say(f"{images} of files that are not here: a backup holds no pictures.")
