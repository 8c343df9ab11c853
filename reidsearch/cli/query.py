"""``reidsearch query``"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import (
    REJECTED,
    OfDataset,
    ProbeCamera,
    ProbeTime,
    Since,
    Site,
    SpatioTemporal,
    Until,
    moment,
    parse_names,
)
from reidsearch.cli.pictures import STDIN, STDIN_PATH, gather, read
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
    camera: ProbeCamera = None,
    only_camera: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Search these cameras alone.")
    ] = None,
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = "",
    until: Until = "",
    split: Annotated[Split, typer.Option(help="The part to search.")] = Split.GALLERY,
    top_k: Annotated[int, typer.Option(min=1, max=10_000, help="Hits for each probe.")] = 10,
    min_score: Annotated[
        float, typer.Option(help="Leave out hits with a smaller score.", show_default=False)
    ] = -math.inf,
    spatio_temporal: SpatioTemporal = False,
    rerank: Annotated[
        bool,
        typer.Option(
            "--rerank", help="Re-rank by k-reciprocal neighbours; scores are 1 - distance."
        ),
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
    pictures = gather(probes)
    with Gallery(ctx.obj, purpose="query") as gallery:
        for probe in pictures:
            try:
                answer = gallery.query(
                    read(probe),
                    name=STDIN if probe == STDIN_PATH else None,
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
                    spatio_temporal=spatio_temporal,
                    rerank=rerank,
                )
            except ImageError as error:
                if len(pictures) == 1:
                    raise
                output.complain(error)
                failed += 1
                continue
            answers.append(answer)
            if json:
                output.print_json(answer.document())
    if csv:
        show.print_hits_csv(answers)
    elif not json:
        for answer in answers:
            show.print_answer(answer)
    if save is not None:
        sheet.save(answers, save)
        output.say(f"Contact sheet: {save}")
    if failed:
        raise typer.Exit(REJECTED)
