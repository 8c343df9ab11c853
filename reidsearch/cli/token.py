"""``reidsearch token``"""

from typing import Annotated

import typer

from reidsearch import times
from reidsearch.cli import output
from reidsearch.cli.tables import print_table
from reidsearch.errors import UsageError
from reidsearch.service.tokens import Role, Tokens


def token(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Whose it is to be: searches are logged under this name.")
    ] = None,
    role: Annotated[
        Role | None,
        typer.Option(help="What it is for: search, ingest (push crops), admin (everything)."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away, at once.")] = False,
) -> None:
    """Make a token for the HTTP service, or take one away; without NAME, list them."""
    tokens = Tokens(ctx.obj.data_dir)
    if name is None:
        if role is not None or remove:
            raise UsageError("whose token is meant is not said", hint="Give a name.")
        zone = ctx.obj.timezone
        rows = [(one.name, str(one.role), times.show(one.made, zone)) for one in tokens.all()]
        print_table(rows, columns=("name", "role", "made"))
    elif remove:
        tokens.remove(name)
        output.say(f"The token of {name} is worth nothing any more.")
    else:
        if role is None:
            raise UsageError("what the token is for is not said", hint="Give it a --role.")
        print(tokens.add(name, role))
        output.say("Keep it: it is shown this once. A service takes it at once.")
