"""``reidsearch query``"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch import names, outcomes
from reidsearch.cli import output
from reidsearch.cli.options import (
    OUTPUT,
    RANKING,
    REJECTED,
    WHERE,
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
from reidsearch.errors import ImageError, ReidsearchError, UsageError
from reidsearch.types import Split

TOGETHER = 16  # questions asked at once; what is answered is shown after so many

if TYPE_CHECKING:
    from reidsearch.search.answer import Answer


def query(
    ctx: typer.Context,
    probes: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMG...", help="Pictures to search for, folders of them, or - for stdin."
        ),
    ],
    together: Together = False,
    unlike: Unlike = None,
    camera: ProbeCamera = None,
    exclude_camera: Annotated[
        bool,
        typer.Option(
            "--exclude-camera", help="Leave out the probe's own camera.", rich_help_panel=WHERE
        ),
    ] = False,
    only_camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,NAME",
            help="Search these cameras alone; repeatable.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = "",
    until: Until = "",
    split: Annotated[
        Split,
        typer.Option(
            metavar="SPLIT",
            help=f"The part to search: {', '.join(Split)}.",
            rich_help_panel=WHERE,
        ),
    ] = Split.GALLERY,
    top_k: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=10_000,
            help="Hits, or stays, for each probe.",
            rich_help_panel=OUTPUT,
        ),
    ] = 10,
    min_score: Annotated[
        float,
        typer.Option(
            metavar="SCORE",
            help="Leave out hits with a smaller score.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = -math.inf,
    expand: Expand = False,
    spatio_temporal: SpatioTemporal = False,
    rerank: Annotated[
        bool,
        typer.Option(
            "--rerank",
            help="Re-rank by k-reciprocal neighbours; scores are 1 - distance.",
            rich_help_panel=RANKING,
        ),
    ] = False,
    plain: Plain = False,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Compare every stored vector, however many there are.",
            rich_help_panel=RANKING,
        ),
    ] = False,
    by_stay: Annotated[
        bool,
        typer.Option(
            "--by-stay", help="One row for each visit to a camera.", rich_help_panel=OUTPUT
        ),
    ] = False,
    time: ProbeTime = "",
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a contact sheet, .png or .html.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            "-p",
            help="Also draw the hits, in terminals that can (kitty, iTerm2, sixel).",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a line and probe.", rich_help_panel=OUTPUT),
    ] = False,
    csv: Annotated[
        bool,
        typer.Option("--csv", help="One CSV row for each hit.", rich_help_panel=OUTPUT),
    ] = False,
) -> None:
    """Find the stored images that show the person in IMG."""
    from reidsearch.cli import hits, terminal
    from reidsearch.opening import opened
    from reidsearch.views import endings, sheet
    from reidsearch.views.made import Made

    timestamp = moment(time, "--time", ctx.obj.timezone)
    if json and csv:
        raise UsageError("--json and --csv exclude each other", hint="Choose one.")
    if save is not None:
        endings.check(save, sheet.ENDINGS)
    shows = terminal.canvas() if pictures and not json and not csv else None
    say_idle(
        (pictures and (json or csv), "--pictures", "beside --json and --csv"),
        (pictures and not (json or csv or shows), "--pictures", terminal.WHY),
    )
    cameras = names.listed(only_camera or ())
    first, last = (
        moment(since, "--since", ctx.obj.timezone),
        moment(until, "--until", ctx.obj.timezone),
    )
    answers: list[Answer] = []
    failed = 0
    questions, others = asked(probes, unlike or (), together=together)
    alone = together and len(questions[0]) == 1
    say_idle((alone, "--together", "with a single picture"))
    with opened(ctx.obj, purpose="query") as gallery:
        for start in range(0, len(questions), TOGETHER):
            inquiries = outcomes.each(
                lambda question: gallery.inquiry(
                    [read(one) for one in question],
                    unlike=others,
                    camera=camera,
                    time=timestamp,
                    exclude_camera=exclude_camera,
                    only_cameras=cameras,
                    site=site,
                    dataset=dataset,
                    since=first,
                    until=last,
                    split=split,
                    top_k=top_k,
                    min_score=min_score,
                    expand=expand,
                    spatio_temporal=spatio_temporal,
                    rerank=rerank,
                    plain=plain,
                    by_stay=by_stay,
                    exact=exact,
                ),
                questions[start : start + TOGETHER],
            )
            for answer in outcomes.together(gallery.query_all, inquiries):
                if isinstance(answer, ImageError) and len(questions) > 1:
                    output.complain(answer)
                    failed += 1
                    continue
                if isinstance(answer, ReidsearchError):
                    raise answer
                answers.append(answer)
                if json:
                    output.print_json(answer.document())
    untimed = not any(answer.ranking.spatio_temporal for answer in answers)
    say_idle((timestamp is not None and untimed, "--time", "where hits are ranked without times"))
    if csv:
        hits.print_hits_csv(answers, by_stay=by_stay)
    elif not json:
        for answer in answers:
            hits.print_answer(answer)
            if shows is not None:
                shows.draw(answer)
    if save is not None:
        sheet.save(answers, save, Made(command_line(ctx)))
        output.say(f"Contact sheet: {output.one_line(str(save))}")
    if failed:
        raise typer.Exit(REJECTED)
