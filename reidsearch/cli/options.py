"""Options that several commands have, and those that all have."""

import shlex
from inspect import Parameter
from pathlib import Path
from typing import Annotated

import typer

from reidsearch import times
from reidsearch.cli import output
from reidsearch.cli.help import LAST
from reidsearch.config import FILE, SETTINGS, variable
from reidsearch.environment import VARIABLES
from reidsearch.errors import UsageError
from reidsearch.settings import Setting

REJECTED = 3  # the exit code where some pictures were not taken

# Groups of options in a command's help.
QUESTION = "The question"
WHERE = "Which images"
READING = "How it is read"
RANKING, OUTPUT, PANEL = LAST

TYPED = "typed"  # where a context keeps the words of the command line

Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document instead.", rich_help_panel=OUTPUT),
]
Root = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where the paths in a CSV begin, by default in its folder.",
        rich_help_panel=READING,
    ),
]
FollowLinks = Annotated[
    bool,
    typer.Option("--follow-links", help="Look into linked folders, too.", rich_help_panel=READING),
]
Together = Annotated[
    bool,
    typer.Option(
        "--together",
        help="All pictures show one person: ask for them once.",
        rich_help_panel=QUESTION,
    ),
]
Unlike = Annotated[
    list[Path] | None,
    typer.Option(
        "--not",
        metavar="IMG",
        help="A picture of somebody else, who is not meant; repeatable.",
        rich_help_panel=QUESTION,
    ),
]
ProbeCamera = Annotated[
    str | None,
    typer.Option(
        "--camera",
        metavar="NAME",
        help="The probe's camera, where its name does not tell.",
        rich_help_panel=QUESTION,
    ),
]
Site = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only images of this site's cameras.", rich_help_panel=WHERE),
]
OfDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset", metavar="NAME", help="Only images of this data set.", rich_help_panel=WHERE
    ),
]
Since = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="Only what was taken at this time or later: 2024-05-01, 2024-05-01T12:30, or seconds "
        "since 1970.",
        rich_help_panel=WHERE,
    ),
]
Until = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="Only what was taken before this time.", rich_help_panel=WHERE
    ),
]
ProbeTime = Annotated[
    str,
    typer.Option(
        "--time",
        metavar="TIME",
        help="When the probe was taken: 2024-05-01T12:30, or seconds since 1970.",
        rich_help_panel=QUESTION,
    ),
]
Expand = Annotated[
    bool,
    typer.Option(
        "--expand",
        help="Compare vectors that carry their neighbours in the gallery.",
        rich_help_panel=RANKING,
    ),
]
Plain = Annotated[
    bool,
    typer.Option(
        "--plain",
        help="Cosines alone, not the best that `calibrate` has learned.",
        rich_help_panel=RANKING,
    ),
]
SpatioTemporal = Annotated[
    bool,
    typer.Option(
        "--spatio-temporal",
        help="Add what `calibrate` learned of the times between cameras.",
        rich_help_panel=RANKING,
    ),
]


def _setting(key: str, setting: Setting) -> Parameter:
    option = typer.Option(
        f"--{key.replace('_', '-')}",
        metavar=setting.metavar,
        help=f"{setting.help} Environment: {variable(key)}.",
        rich_help_panel=PANEL,
    )
    kind = Parameter.KEYWORD_ONLY
    return Parameter(key, kind, default=None, annotation=Annotated[str | None, option])


def _switch(name: str, help: str) -> Parameter:
    option = typer.Option(f"--{name}", help=help, rich_help_panel=PANEL)
    kind = Parameter.KEYWORD_ONLY
    return Parameter(name, kind, default=False, annotation=Annotated[bool, option])


GLOBAL = (
    *(_setting(key, setting) for key, setting in SETTINGS.items() if setting.flag),
    _switch("quiet", "No progress."),
    _switch("debug", "Show tracebacks."),
)
ELSEWHERE = (
    "Without an option",
    [
        *(
            (variable(key), f"{setting.help} In {FILE}: {key}.")
            for key, setting in SETTINGS.items()
            if not setting.flag
        ),
        *VARIABLES.items(),
    ],
)
"""What is set by no option, for the end of the help."""


def moment(text: str, option: str, zone: times.Zone) -> float | None:
    """Seconds since 1970 of what was given with an option, in that zone where it names none; None
    of nothing. Raises UsageError."""
    try:
        return times.parse(text, zone) if text else None
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def command_line(ctx: typer.Context) -> str:
    """The command as it was typed, for what it made."""
    return shlex.join([*ctx.find_root().command_path.split(), *ctx.meta[TYPED]])


def say_idle(*idle: tuple[bool, str, str]) -> None:
    """Tell of options that were given and have no effect: whether so, which one, and why."""
    for given, option, why in idle:
        if given:
            output.say(f"{option} has no effect {why}.")
