"""The command line, a file for each command: parse, call, print.

Modules that take time to import are imported in the commands that need them, so that ``--help``
and errors come at once.
"""

from typing import Annotated

import typer

from reidsearch import __version__, config
from reidsearch.cli.audit import audit
from reidsearch.cli.calibrate import calibrate
from reidsearch.cli.demo import demo
from reidsearch.cli.doctor import doctor
from reidsearch.cli.evaluate import evaluate
from reidsearch.cli.export import export
from reidsearch.cli.forget import forget
from reidsearch.cli.group import Commands
from reidsearch.cli.ingest import ingest
from reidsearch.cli.query import query
from reidsearch.cli.status import status
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
def main(
    ctx: typer.Context,
    data_dir: Annotated[
        str | None,
        typer.Option(help="Where catalog and vectors are kept. Environment: REIDSEARCH_DATA_DIR."),
    ] = None,
    qdrant_url: Annotated[
        str | None,
        typer.Option(
            help="A Qdrant server; without it, vectors are kept in the data dir. "
            "Environment: REIDSEARCH_QDRANT_URL."
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="An ONNX encoder. Environment: REIDSEARCH_ENCODER.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, openvino or coreml. Environment: REIDSEARCH_DEVICE."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    ctx.meta["quiet"] = quiet
    flags = {"data_dir": data_dir, "qdrant_url": qdrant_url, "encoder": encoder, "device": device}
    ctx.obj = config.load(flags)


for command in (
    ingest, query, evaluate, calibrate, trace, export, status, doctor, forget, audit, demo
):  # fmt: skip
    app.command()(command)
