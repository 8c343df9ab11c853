"""``reidsearch export``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json, Since, Until, moment
from reidsearch.cli.tables import print_table


def export(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The file to write: .npz, .csv or .parquet.")
    ],
    since: Since = "",
    until: Until = "",
    json: Json = False,
) -> None:
    """Write what is stored to one file: with vectors as .npz or .parquet, without as .csv.

    An identity of -1 is a bad crop, 0 somebody whom no query asks for. What is not known is an
    empty cell or null; in .npz it is -2, an empty name, or NaN for a time, and a camera or identity
    whose name is no number is -3 beside that name.
    """
    from reidsearch.opening import opened

    zone = ctx.obj.timezone
    first, last = moment(since, "--since", zone), moment(until, "--until", zone)
    with opened(ctx.obj, purpose="export") as gallery:
        counts = gallery.export(out, since=first, until=last)
    if json:
        output.print_json(counts)
    else:
        print_table(list(counts.items()), columns=("", "images"))
