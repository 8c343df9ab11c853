"""``reidsearch query``"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import (
    REJECTED,
    Expand,
    OfDataset,
    Plain,
    ProbeCamera,
    ProbeTime,
    Since,
    Site,
    SpatioTemporal,
    Until,
    moment,
    parse_names,
)
from reidsearch.cli.pictures import check_stdin, gather, read, read_now
from reidsearch.errors import ImageError, UsageError
from reidsearch.types import Split

if TYPE_CHECKING:
    from reidsearch.answer import Answer


def query(
    ctx: typer.Context,
    probes: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMG...", help="Pictures to search for, folders of them, or - for stdin."
        ),
    ],
    exclude_camera: Annotated[
        bool, typer.Option("--exclude-camera", help="Leave out the probe's own camera.")
    ] = False,
    together: Annotated[
        bool, typer.Option("--together", help="All pictures show one person: ask for them once.")
    ] = False,
    unlike: Annotated[
        list[Path] | None,
        typer.Option(
            "--not", metavar="IMG", help="A picture of somebody else, who is not meant; repeatable."
        ),
    ] = None,
    camera: ProbeCamera = None,
    only_camera: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Search these cameras alone.")
    ] = None,
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = "",
    until: Until = "",
    split: Annotated[Split, typer.Option(help="The part to search.")] = Split.GALLERY,
    top_k: Annotated[
        int, typer.Option(min=1, max=10_000, help="Hits, or stays, for each probe.")
    ] = 10,
    min_score: Annotated[
        float, typer.Option(help="Leave out hits with a smaller score.", show_default=False)
    ] = -math.inf,
    expand: Expand = False,
    spatio_temporal: SpatioTemporal = False,
    rerank: Annotated[
        bool,
        typer.Option(
            "--rerank", help="Re-rank by k-reciprocal neighbours; scores are 1 - distance."
        ),
    ] = False,
    plain: Plain = False,
    by_stay: Annotated[
        bool, typer.Option("--by-stay", help="One row for each visit to a camera.")
    ] = False,
    time: ProbeTime = "",
    save: Annotated[
        Path | None, typer.Option(help="Also write a contact sheet, .png or .html.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line and probe.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="One CSV row for each hit.")] = False,
) -> None:
    """Find the stored images that show the person in IMG."""
    from reidsearch.cli import show
    from reidsearch.gallery import Gallery
    from reidsearch.views import endings, sheet

    timestamp = moment(time, "--time", ctx.obj.timezone)
    if json and csv:
        raise UsageError("--json and --csv exclude each other", hint="Choose one.")
    if save is not None:
        endings.check(save, sheet.ENDINGS)
    cameras = parse_names(only_camera or "")
    first, last = (
        moment(since, "--since", ctx.obj.timezone),
        moment(until, "--until", ctx.obj.timezone),
    )
    answers: list[Answer] = []
    failed = 0
    check_stdin([*probes, *(unlike or ())])
    pictures = gather(probes)
    questions = [pictures] if together else [[one] for one in pictures]
    others = [read_now(one) for one in gather(unlike or ())]
    with Gallery(ctx.obj, purpose="query") as gallery:
        for question in questions:
            try:
                answer = gallery.query(
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
                )
            except ImageError as error:
                if len(questions) == 1:
                    raise
                output.complain(error)
                failed += 1
                continue
            answers.append(answer)
            if json:
                output.print_json(answer.document())
    if csv:
        show.print_hits_csv(answers, by_stay=by_stay)
    elif not json:
        for answer in answers:
            show.print_answer(answer)
    if save is not None:
        sheet.save(answers, save)
        output.say(f"Contact sheet: {save}")
    if failed:
        raise typer.Exit(REJECTED)
