"""``reidsearch demo``"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.cli.progress import ingest_progress

if TYPE_CHECKING:
    from reidsearch.demo import Demo
    from reidsearch.demo.steps import Step


def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")] = Path(
        "reidsearch-demo"
    ),
    json: Json = False,
) -> None:
    """Draw people, then ingest, query, evaluate, calibrate, trace and report. Nothing is
    downloaded."""
    from reidsearch import demo as script

    show = _ignore if json else _print_step
    with ingest_progress(quiet=ctx.meta["quiet"]) as progress, output.hushed():
        made = script.run(out, settings=ctx.obj, show=show, on_progress=progress)
    if json:
        output.print_json(made.document())
    elif not ctx.meta["quiet"]:
        _say_what_next(made)


def _ignore(step: "Step") -> None:
    """JSON is one document, at the end."""


def _print_step(step: "Step") -> None:
    """Its name and how long it took, and beside them what it found."""
    from rich.console import Console
    from rich.text import Text

    from reidsearch.cli.hits import MARKS, STYLES
    from reidsearch.cli.tables import showable_or

    console = Console()
    for number, line in enumerate(step.lines):
        name = "" if number else f"{step.verb:<10}"
        took = "" if number else f"{step.seconds:5.1f} s"
        sign = f"{showable_or(*MARKS[line.kind])} " if line.kind else ""
        said = Text.assemble(
            (f"{name:<11}", "bold cyan"),
            (f"{took:<10}", "dim"),
            (sign, STYLES.get(line.kind, "")),
            output.showable(line.text),
        )
        console.print(said, soft_wrap=True, highlight=False)


def _say_what_next(made: "Demo") -> None:
    from reidsearch import service

    output.say("\nLook at these in a browser:")
    for page in made.pages:
        output.say(f"  {page}")
    output.say("Take in crops of your own:")
    output.say("  reidsearch ingest YOUR_CROPS")
    probes = Path(made.answers[0].query).parent
    output.say(f"Search on a page, with a picture from {probes} dropped on it:")
    if not service.installed():
        output.say("  pip install 'reidsearch[serve]'")
    output.say(f"  reidsearch --data-dir {shlex.quote(str(made.gallery))} serve")
