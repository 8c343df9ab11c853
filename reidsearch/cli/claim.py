"""``reidsearch claim``"""

from typing import Annotated

import typer

from reidsearch.cli import output


def claim(
    ctx: typer.Context,
    copy: Annotated[
        bool,
        typer.Option("--copy", help="This is a copy: make it a gallery of its own, to be filled."),
    ] = False,
) -> None:
    """Say that the vectors on a server are this gallery's, where its data dir was moved."""
    from reidsearch.opening import opened

    with opened(ctx.obj, purpose="claim") as gallery:
        gallery.claim(copy=copy)
    output.say(
        "This is a gallery of its own now. Ingest its images again: they are encoded anew."
        if copy
        else "The vectors on the server are this gallery's."
    )
