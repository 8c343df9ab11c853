"""``reidsearch trace``"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import (
    OUTPUT,
    REJECTED,
    Expand,
    OfDataset,
    Plain,
    ProbeCamera,
    ProbeTime,
    Since,
    Site,
    SpatioTemporal,
    Together,
    Unlike,
    Until,
    command_line,
    moment,
    say_idle,
)
from reidsearch.cli.pictures import asked, read
from reidsearch.cli.vocabulary import COMMAND_LINE
from reidsearch.errors import ImageError, UsageError

if TYPE_CHECKING:
    from reidsearch.search.trace import Trace

MATCHES = "What counts as a match"


def trace(
    ctx: typer.Context,
    probes: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMG...", help="Pictures of the person, folders of them, or - for stdin."
        ),
    ],
    together: Together = False,
    unlike: Unlike = None,
    false_matches: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=1e-6,
            max=0.5,
            help="Take scores that at most this share of the pairs of different people reach; by "
            "default as many as let 1 hit in 10 be somebody else.",
            rich_help_panel=MATCHES,
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="Take scores from here on, without a calibration.",
            rich_help_panel=MATCHES,
        ),
    ] = None,
    camera: ProbeCamera = None,
    time: ProbeTime = "",
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = "",
    until: Until = "",
    expand: Expand = False,
    spatio_temporal: SpatioTemporal = False,
    plain: Plain = False,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also draw it, a lane for each camera; .png or .html.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a line and probe.", rich_help_panel=OUTPUT),
    ] = False,
) -> None:
    """Where was this person? Stays at cameras, in time order."""
    from reidsearch.opening import opened
    from reidsearch.views import endings, lanes
    from reidsearch.views.made import Made

    timestamp = moment(time, "--time", ctx.obj.timezone)
    if save is not None:
        endings.check(save, lanes.ENDINGS)
    questions, others = asked(probes, unlike or (), together=together)
    alone = together and len(questions[0]) == 1
    say_idle((alone, "--together", "with a single picture"))
    if save is not None and len(questions) > 1:
        raise UsageError(
            f"{len(questions)} pictures are {len(questions)} traces, and one file shows one",
            hint="Add --together where they show one person, or trace one at a time.",
        )
    both = false_matches is not None and min_score is not None
    say_idle((both, "--false-matches", "beside --min-score"))
    first, last = (
        moment(since, "--since", ctx.obj.timezone),
        moment(until, "--until", ctx.obj.timezone),
    )
    traces: list[Trace] = []
    failed = 0
    with opened(ctx.obj, purpose="trace") as gallery:
        for question in questions:
            try:
                found = gallery.trace(
                    [read(one) for one in question],
                    unlike=others,
                    camera=camera,
                    time=timestamp,
                    site=site,
                    dataset=dataset,
                    since=first,
                    until=last,
                    false_matches=false_matches,
                    min_score=min_score,
                    expand=expand,
                    spatio_temporal=spatio_temporal,
                    plain=plain,
                )
            except ImageError as error:
                if len(questions) == 1:
                    raise
                output.complain(error)
                failed += 1
                continue
            traces.append(found)
            if json:
                output.print_json(found.document())
            else:
                _print_trace(found)
    untimed = not any(found.spatio_temporal for found in traces)
    say_idle((timestamp is not None and untimed, "--time", "on scores by cosine alone"))
    if save is not None:
        (found,) = traces
        lanes.save(found, save, Made(command_line(ctx)))
        output.say(f"Picture: {output.one_line(str(save))}")
    if failed:
        raise typer.Exit(REJECTED)


def _print_trace(found: "Trace") -> None:
    """A row for each stay, in time order."""
    from reidsearch.cli import hits
    from reidsearch.views import tracks, verdicts

    title = hits.titled(found)
    hits.print_stays(found, found.stays, found.unit, found.zone, title=title)
    hits.print_legend([verdicts.kind(found, stay.hits[0]) for stay in found.stays])
    if found.calibrated is not None:
        output.say(
            f"Learned from {found.calibrated:,} images what times and scores say; from now on "
            "ingest keeps that current, and query uses it, too."
        )
    output.say(_sentence(tracks.threshold(found)))
    if (why := found.not_learned) is not None:
        output.say(f"Learned {why.message}. {why.hint_in(COMMAND_LINE)}".rstrip())
    if found.stays:
        return
    output.say(_sentence(tracks.nobody(found)))
    if found.nearest is not None:
        timed = "" if found.unit is None else ", or --camera and --time after reidsearch calibrate,"
        output.say(
            f"--min-score {_below(found.nearest)} shows it; another picture of the person{timed} "
            "may find more."
        )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _below(score: float) -> str:
    return f"{math.floor(score * 100) / 100:.2f}"
