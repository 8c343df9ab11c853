"""``reidsearch demo``"""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.cli.progress import ingest_progress


def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")] = Path(
        "reidsearch-demo"
    ),
    json: Json = False,
) -> None:
    """Draw a small data set, then ingest, query and evaluate it. Nothing is downloaded."""
    from reidsearch import demo as script
    from reidsearch.cli import hits, scores

    with ingest_progress(quiet=ctx.meta["quiet"]) as progress:
        result = script.run(out, settings=ctx.obj, say=output.say, on_progress=progress)
    if json:
        output.print_json(result.document())
        return
    for answer in result.answers[:1]:
        hits.print_answer(answer)
    scores.print_evaluation(result.evaluation)
    output.say(f"\nLook at {result.sheet}, then try:")
    where = f"reidsearch --data-dir {shlex.quote(str(result.gallery))}"
    probe = shlex.quote(result.answers[1].query)
    for command in (
        f"{where} query {probe} --exclude-camera",
        f"{where} query {probe} --only-camera 2,3 --json",
        f"{where} evaluate",
        "reidsearch ingest YOUR_CROPS",
    ):
        output.say(f"  {command}")
