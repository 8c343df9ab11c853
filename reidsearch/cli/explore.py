"""``reidsearch explore``"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import (
    OUTPUT,
    READING,
    FollowLinks,
    Json,
    Root,
    command_line,
    say_idle,
)
from reidsearch.cli.tables import print_matrix, print_table
from reidsearch.errors import UsageError
from reidsearch.types import Split

if TYPE_CHECKING:
    from reidsearch.inspection.exploration import Exploration

SHOWN_FAILURES = 10
SHOWN_SUSPECTS = 10


def explore(
    ctx: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH", help="A published data set, a folder of crops, or a CSV manifest."
        ),
    ] = None,
    stored: Annotated[
        bool,
        typer.Option("--stored", help="Look at what is stored instead, and for suspicious labels."),
    ] = False,
    split: Annotated[
        list[Split] | None,
        typer.Option(
            metavar="SPLIT",
            help=f"Parts to look at: {', '.join(Split)}; repeatable. By default all.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT",
            help="How its folders are meant, as in `ingest`.",
            rich_help_panel=READING,
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="How its paths are made, as in `ingest`.",
            rich_help_panel=READING,
        ),
    ] = None,
    root: Root = None,
    follow_links: FollowLinks = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a page with plots and sample crops; .html.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Look at a data set before it is used: who is on it, how it looks, what may be wrong."""
    from reidsearch.opening import opened
    from reidsearch.views import endings, exploration
    from reidsearch.views.made import Made

    if stored == (path is not None):
        raise UsageError(
            "explore looks at a PATH or, with --stored, at what is stored", hint="Give one of them."
        )
    if save is not None:
        endings.check(save, exploration.ENDINGS)
    say_idle(
        (stored and layout is not None, "--layout", "with --stored"),
        (stored and pattern is not None, "--pattern", "with --stored"),
        (stored and root is not None, "--root", "with --stored"),
        (stored and follow_links, "--follow-links", "with --stored"),
    )
    with opened(ctx.obj, purpose="explore") as gallery:
        found = gallery.explore(
            path,
            splits=split,
            layout=layout,
            pattern=pattern,
            root=root,
            follow_links=follow_links,
        )
    if json:
        output.print_json(found.document())
    else:
        _print_exploration(found)
    if save is not None:
        exploration.save(found, save, Made(command_line(ctx)))
        output.say(f"Page: {output.one_line(str(save))}")


def _print_exploration(found: "Exploration") -> None:
    """The numbers, and what is to be looked at."""
    from reidsearch.documents.explorations import spread_document
    from reidsearch.views import exploration

    print_table(exploration.numbers(found), columns=("", "found"), title=found.source)
    print_table(
        [(split, *kinds.values()) for split, kinds in found.splits.items()],
        columns=("split", "people", "junk", "distractors", "not known"),
    )
    spreads = [(name, spread_document(values)) for name, values in exploration.spreads(found)]
    print_table(
        [
            (name, *(f"{value:,.4g}" for value in spread.values() if isinstance(value, float)))
            for name, spread in spreads
            if spread["least"] is not None
        ],
        columns=("", "least", "median", "mean", "most"),
    )
    if 1 < len(found.cameras) <= exploration.MATRIX:
        print_matrix(
            [(a, *row) for a, row in zip(found.cameras, found.shared.tolist(), strict=True)],
            columns=("camera", *found.cameras),
            title="People whom two cameras share",
        )
    for note in found.notes:
        output.say(f"Note: {output.one_line(note)}")
    for failure in found.failures[:SHOWN_FAILURES]:
        output.say(f"Cannot be read: {output.one_line(failure.path)}: {failure.reason}")
    if len(found.failures) > SHOWN_FAILURES:
        output.say(f"... and {len(found.failures) - SHOWN_FAILURES} more; --json lists them all")
    if found.suspects is None:
        output.say("Suspicious labels: ingest these crops, then `reidsearch explore --stored`.")
    elif found.suspects:
        print_table(
            [
                (number, Path(one.crop.path), one.own_score, one.other_score, one.other.identity)
                for number, one in enumerate(found.suspects[:SHOWN_SUSPECTS], start=1)
            ],
            columns=("", "suspicious label", "own", "other", "is like"),
            title="Crops whose nearest from other cameras all are somebody else",
        )
        if len(found.suspects) > SHOWN_SUSPECTS:
            output.say(f"... and {len(found.suspects) - SHOWN_SUSPECTS} more; --json lists them.")
    output.say(f"{found.seconds:.1f} s")
