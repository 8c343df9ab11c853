"""The command line, a file for each command: parse, call, print.

Modules that take time to import are imported in the commands that need them, so that ``--help``
and errors come at once.
"""

from typing import Annotated

import typer

from reidsearch import __version__
from reidsearch.cli.audit import audit
from reidsearch.cli.backup import backup
from reidsearch.cli.calibrate import calibrate
from reidsearch.cli.claim import claim
from reidsearch.cli.demo import demo
from reidsearch.cli.doctor import doctor
from reidsearch.cli.encoders import encoders
from reidsearch.cli.evaluate import evaluate
from reidsearch.cli.explore import explore
from reidsearch.cli.export import export
from reidsearch.cli.forget import forget
from reidsearch.cli.group import Command, Commands, with_global_options
from reidsearch.cli.ingest import ingest
from reidsearch.cli.move import move
from reidsearch.cli.query import query
from reidsearch.cli.restore import restore
from reidsearch.cli.serve import serve
from reidsearch.cli.status import status
from reidsearch.cli.token import token
from reidsearch.cli.trace import trace

app = typer.Typer(
    cls=Commands,
    help="Find the same person across cameras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"reidsearch {__version__}")
        raise typer.Exit


@app.callback()
@with_global_options
def main(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


for command in (
    explore, ingest, query, evaluate, calibrate, trace, export, status, encoders, doctor, forget,
    audit, move, backup, restore, claim, demo, serve, token,
):  # fmt: skip
    app.command(cls=Command)(with_global_options(command))
