"""``reidsearch ingest``"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch import times
from reidsearch.cli import output
from reidsearch.cli.options import READING, REJECTED, FollowLinks, Json, Root, say_idle
from reidsearch.cli.progress import ingest_progress
from reidsearch.cli.tables import print_table
from reidsearch.types import Split
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.ingest.contents import Contents
    from reidsearch.ingest.losses import Loss
    from reidsearch.ingest.summary import IngestSummary

SHOWN_FAILURES = 10
SHOWN_KINDS = 8  # of files passed over


def ingest(
    ctx: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A published data set, a folder of crops, or a CSV manifest."
        ),
    ],
    split: Annotated[
        list[Split] | None,
        typer.Option(
            metavar="SPLIT",
            help=f"Parts to take in: {', '.join(Split)}; repeatable. By default query and gallery.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The data set's name, by default its folder's."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where its cameras and people are; data sets of one site share them.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT",
            rich_help_panel=READING,
            help="How its folders are meant: people (a folder for each), cameras, folder (any), "
            "market1501, dukemtmc, msmt17, cuhk03, mars, veri, or an installed package's.",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            rich_help_panel=READING,
            help="How its paths are made, '{camera}/{identity}_*' for one; * is anything, other "
            "fields are sequence, frame, timestamp and split.",
        ),
    ] = None,
    root: Root = None,
    follow_links: FollowLinks = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove stored images that the data set no longer has."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, however much --prune removes.")
    ] = False,
    json: Json = False,
) -> None:
    """Encode a data set's crops and store them. Running it again changes nothing."""
    from reidsearch.opening import opened

    say_idle((yes and not prune, "--yes", "without --prune"))
    with (
        opened(ctx.obj, purpose="ingest") as gallery,
        ingest_progress(quiet=ctx.meta["quiet"]) as progress,
    ):
        summary = gallery.ingest(
            path,
            splits=split,
            name=name,
            site=site,
            layout=layout,
            pattern=pattern,
            root=root,
            follow_links=follow_links,
            prune="all" if prune and yes else prune,
            confirm=_confirm if sys.stdin.isatty() else None,
            on_progress=progress,
        )
    if json:
        output.print_json(summary.document())
    else:
        _print_ingest(summary, ctx.obj.timezone)
    if summary.failures:
        raise typer.Exit(REJECTED)


def _confirm(loss: "Loss") -> None:
    output.say(f"{output.one_line(str(loss))}.")
    typer.confirm("Remove them for good?", abort=True, err=True)


def _print_ingest(summary: "IngestSummary", zone: times.Zone) -> None:
    rows = [(split, count) for split, count in sorted(summary.splits.items())]
    rows += [("ingested", summary.ingested), ("unchanged", summary.unchanged)]
    rows += [("failed", len(summary.failures))]
    extra = {
        "changed files": summary.changed,
        "renamed": summary.moved,
        "described anew": summary.relabelled,
        "too old": summary.expired,
        "removed": summary.pruned,
    }
    rows += [(name, count) for name, count in extra.items() if count]
    print_table(rows, columns=("", "images"))
    output.say(_known(summary.contents, zone))
    for note in summary.notes:
        output.say(f"Note: {output.one_line(note)}")
    rate = f", {summary.images_per_second:.0f} images/s" if summary.ingested else ""
    output.say(f"{summary.seconds:.1f} s{rate}")
    for failure in summary.failures[:SHOWN_FAILURES]:
        output.say(f"Rejected {output.one_line(failure.path)}: {failure.reason}")
    if len(summary.failures) > SHOWN_FAILURES:
        output.say(f"... and {len(summary.failures) - SHOWN_FAILURES} more; --json lists them all")
    if summary.unlike_crop is not None:
        are = counted(summary.unlike_crops, "is hardly a crop", "are hardly crops")
        output.say(
            f"{are} of one person, {output.one_line(summary.unlike_crop)} for one. Taken in all "
            "the same."
        )
    for depth, count in sorted(summary.scaled.items()):
        pictures = counted(
            count, "picture of more than 8 bits was", "pictures of more than 8 bits were"
        )
        output.say(f"{pictures} read as {depth} and scaled.")
    if summary.calibrated is not None:
        output.say(f"The gallery has changed; calibrated anew from {summary.calibrated} images.")
    if summary.expanded:
        carry = counted(summary.expanded, "vector carries", "vectors carry")
        output.say(f"{carry} other neighbours now.")
    if summary.vanished:
        gone = counted(len(summary.vanished), "stored image is", "stored images are")
        output.say(
            f"{gone} not in the data set any more, {output.one_line(summary.vanished[0])} for one; "
            "still stored. --prune removes what is gone."
        )


def _known(found: "Contents", zone: times.Zone) -> str:
    """What is known of the crops, in a few sentences."""
    read = f"Read as {output.one_line(found.layout)}: " if found.layout else ""
    said = [
        f"{read}{counted(found.crops, 'crop')}, {counted(found.cameras, 'camera')}, "
        f"{counted(found.people, 'person', 'people')}{_span(found, zone)}"
    ]
    without = {
        "camera": found.without_camera,
        "person": found.without_person,
        "time": found.without_time,
    }
    lacking = [f"{count:,} without a {what}" for what, count in without.items() if count]
    if lacking:
        said.append(", ".join(lacking))
    if found.passed_over:
        kinds = list(found.passed_over.items())
        some = [f"{count:,} {output.one_line(kind)}" for kind, count in kinds[:SHOWN_KINDS]]
        more = ["..."] if len(kinds) > SHOWN_KINDS else []
        said.append(f"Passed over, no crops: {', '.join(some + more)}")
    return "\n".join(f"{line}." for line in said)


def _span(found: "Contents", zone: times.Zone) -> str:
    """From when to when, or when."""
    if found.first is None or found.last is None:
        return ""
    first, last = (times.show(one, zone) for one in (found.first, found.last))
    return f", all at {first}" if first == last else f", from {first} to {last}"
