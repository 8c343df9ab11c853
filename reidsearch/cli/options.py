"""Options that several commands have, and those that all have."""

from inspect import Parameter
from pathlib import Path
from typing import Annotated

import typer

from reidsearch import times
from reidsearch.config import FILE, SETTINGS, VARIABLES, Setting, variable
from reidsearch.errors import UsageError

REJECTED = 3  # the exit code where some pictures were not taken

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Root = Annotated[
    Path | None, typer.Option(help="Where the paths in a CSV begin, by default in its folder.")
]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Look into linked folders, too.")]
ProbeCamera = Annotated[
    str | None,
    typer.Option(
        "--camera", metavar="NAME", help="The probe's camera, where its name does not tell."
    ),
]
Site = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only images of this site's cameras.")
]
OfDataset = Annotated[
    str | None, typer.Option("--dataset", metavar="NAME", help="Only images of this data set.")
]
Since = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="Only what was taken at this time or later: 2024-05-01, 2024-05-01T12:30, or seconds "
        "since 1970.",
    ),
]
Until = Annotated[str, typer.Option(metavar="TIME", help="Only what was taken before this time.")]
ProbeTime = Annotated[
    str,
    typer.Option(
        "--time",
        metavar="TIME",
        help="When the probe was taken: 2024-05-01T12:30, or seconds since 1970.",
    ),
]
Expand = Annotated[
    bool,
    typer.Option("--expand", help="Compare vectors that carry their neighbours in the gallery."),
]
Plain = Annotated[
    bool,
    typer.Option("--plain", help="Cosines alone, not the best that `calibrate` has learned."),
]
SpatioTemporal = Annotated[
    bool,
    typer.Option(
        "--spatio-temporal", help="Add what `calibrate` learned of the times between cameras."
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


PANEL = "Global options"
GLOBAL = (
    *(_setting(key, setting) for key, setting in SETTINGS.items() if setting.flag),
    _switch("quiet", "No progress."),
    _switch("debug", "Show tracebacks."),
)
ELSEWHERE = "\n\n".join(  # an empty line between two is how Typer keeps them apart
    [
        "Without an option:",
        *(
            f"{variable(key)}, or {key} in {FILE}: {setting.help}"
            for key, setting in SETTINGS.items()
            if not setting.flag
        ),
        *(f"{name}: {help}" for name, help in VARIABLES.items()),
    ]
)
"""What is set by no option, for the end of the help."""


def moment(text: str, option: str, zone: times.Zone) -> float | None:
    """Seconds since 1970 of what was given with an option, in that zone where it names none; None
    of nothing. Raises UsageError."""
    try:
        return times.parse(text, zone) if text else None
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def parse_names(text: str) -> tuple[str, ...]:
    """``"lobby, 2"`` as ``("lobby", "2")``."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
