"""``reidsearch demo``"""

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json


def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder to make.")] = Path("reidsearch-demo"),
    json: Json = False,
) -> None:
    """Draw a small data set, then ingest, query and evaluate it. Nothing is downloaded."""
    from reidsearch import demo as script
    from reidsearch.cli import show

    with output.ingest_progress(quiet=ctx.meta["quiet"]) as progress:
        result = script.run(out, settings=ctx.obj, say=output.say, on_progress=progress)
    if json:
        output.print_json(
            {
                "folder": str(out),
                "sheet": str(result.sheet),
                "ingest": show.report_document(result.report),
                "evaluation": show.evaluation_document(result.evaluation),
            }
        )
        return
    for answer in result.answers[:1]:
        show.print_answer(answer)
    show.print_evaluation(result.evaluation)
    output.say(f"\nLook at {result.sheet}, then try:")
    for command in result.commands:
        output.say(f"  {command}")
