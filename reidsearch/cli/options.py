"""Options that several commands have."""

from typing import Annotated

import typer

from reidsearch.errors import UsageError

REJECTED = 3  # the exit code where some pictures were not taken

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
ProbeCamera = Annotated[
    int | None,
    typer.Option(
        "--camera", min=0, max=2**63 - 1, help="The probe's camera, where its name does not tell."
    ),
]
ProbeTime = Annotated[
    str, typer.Option("--time", help="When the probe was taken: ISO 8601, or seconds since 1970.")
]
SpatioTemporal = Annotated[
    bool,
    typer.Option(
        "--spatio-temporal", help="Add what `calibrate` learned of the times between cameras."
    ),
]


def moment(text: str, option: str) -> float | None:
    """Seconds since 1970 of what was given with an option; None of nothing. Raises UsageError."""
    from reidsearch import datasets

    try:
        return datasets.parse_timestamp(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def parse_cameras(text: str) -> tuple[int, ...]:
    """``"2,3"`` as ``(2, 3)``. Raises UsageError on anything else."""
    return tuple(_camera(part) for part in text.split(","))


def _camera(text: str) -> int:
    if not text.strip().isdecimal():
        raise UsageError(
            f"{text.strip()!r} is not a camera number", hint="Write cameras like 2 or 2,3."
        )
    if len(text.strip()) > 18:  # surely below LARGEST
        raise UsageError(
            "a camera number has more than 18 digits", hint="Write cameras like 2 or 2,3."
        )
    return int(text)
