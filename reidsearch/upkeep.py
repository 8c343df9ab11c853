"""The commands that look after a gallery: doctor, forget, audit."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from reidsearch import output
from reidsearch.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
SHOWN = 5  # subjects of each kind of finding
FAILURE = 1  # the exit code where something is left to be done


def doctor(
    ctx: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended.")] = False,
    json: Json = False,
) -> None:
    """Compare catalog, vectors and files; change nothing without --fix."""
    from reidsearch import doctor as examining
    from reidsearch.encoder import Encoder

    checkup = examining.examine(
        ctx.obj, fix=fix, load_encoder=lambda: Encoder(ctx.obj.encoder, device=ctx.obj.device)
    )
    left = Counter(finding.kind for finding in checkup.left)
    kinds = Counter(finding.kind for finding in checkup.found) | left
    every = dict.fromkeys((*checkup.found, *checkup.left))  # each once
    subjects = {kind: [f.subject for f in every if f.kind == kind] for kind in kinds}
    if json:
        output.print_json(
            {
                "images": checkup.images,
                "vectors": checkup.vectors,
                "healthy": not checkup.left,
                "fixed": checkup.fixed,
                "findings": [
                    {
                        "kind": kind,
                        "what": examining.KINDS[kind],
                        "found": count,
                        "left": left[kind],
                        "subjects": subjects[kind],
                    }
                    for kind, count in sorted(kinds.items())
                ],
            }
        )
    else:
        _print_checkup(kinds, left, subjects, examining.KINDS, fix=fix)
        output.say(f"{checkup.images} images and {checkup.vectors} vectors looked at.")
    if checkup.left:
        raise typer.Exit(FAILURE)


def _print_checkup(
    kinds: Counter[str],
    left: Counter[str],
    subjects: dict[str, list[str]],
    words: dict[str, str],
    *,
    fix: bool,
) -> None:
    if not kinds:
        output.say("Catalog, vectors and files agree.")
        return
    rows = [
        (
            kind,
            count,
            left[kind],
            words[kind],
            ", ".join(subjects[kind][:SHOWN]) + ", ..." * (count > SHOWN),
        )
        for kind, count in sorted(kinds.items())
    ]
    output.print_table(rows, columns=("finding", "found", "left", "what it means", "where"))
    if not fix:
        output.say("Nothing was changed; mend it with: reidsearch doctor --fix")
    elif left:
        output.say(
            "What is left needs its image, or another --encoder. Images that are gone for good are "
            "removed by ingest --prune, or forget --image PATH."
        )


def forget(
    ctx: typer.Context,
    identity: Annotated[
        int | None, typer.Option(min=-1, help="All images of this identity.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="This image; repeatable.")
    ] = None,
    before: Annotated[
        str, typer.Option(help="All images taken before this date: ISO 8601, or seconds.")
    ] = "",
    camera: Annotated[int | None, typer.Option(min=0, help="All images of this camera.")] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only images of this data set.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be forgotten, and change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove images with all that was made of them, down to the bytes in the stores' files.

    Several options together mean the images that fit them all.
    """
    from reidsearch import datasets, gallery
    from reidsearch import forget as forgetting

    try:
        moment = datasets.parse_timestamp(before)
    except ValueError as error:
        raise UsageError(f"--before: {error}") from None
    selection = forgetting.Selection(identity, tuple(image or ()), moment, camera, dataset)
    catalog = gallery.open_catalog(ctx.obj)
    try:
        rows = forgetting.select(catalog, selection)
    finally:
        catalog.close()
    if dry_run:
        _say_selected(rows, json=json)
        return
    if rows and not yes:
        _confirm(rows)
    gone = forgetting.forget(ctx.obj, rows)
    if json:
        output.print_json(
            {"images": gone.images, "vectors": gone.vectors, "compacted": gone.compacted}
        )
    elif not gone.images:
        output.say("Nothing that is stored fits.")
    else:
        output.print_table(
            [("images", gone.images), ("vectors", gone.vectors)], columns=("", "forgotten")
        )
    if gone.backups:
        output.say("The catalog's backups went too: they held the same rows.")
    if not gone.compacted:
        output.say("The Qdrant server drops the bytes from its disk when it next optimises.")
    if gone.images:
        output.say(
            "The files were left alone; while they are there, an ingest takes them in again."
        )


def _say_selected(rows: list[Any], *, json: bool) -> None:
    paths = [str(Path(row.root) / row.path) for row in rows]
    if json:
        output.print_json({"images": len(paths), "paths": paths})
        return
    output.print_table([(path,) for path in paths], columns=("would be forgotten",))
    output.say(f"{len(paths)} images; nothing was changed.")


def _confirm(rows: list[Any]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{len(rows)} images would be forgotten, and there is nobody to ask",
            hint="Look with --dry-run, then give --yes.",
        )
    people = len({(row.dataset, row.identity) for row in rows})
    output.say(f"{len(rows)} images of {people} identities, {rows[0].path} for one.")
    typer.confirm("Forget them for good?", abort=True, err=True)


def audit(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(help="From this date on: ISO 8601, or seconds.")] = "",
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help='Write the kept probes there (setting audit = "pictures").'
        ),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="One CSV row for each search.")] = False,
    json: Json = False,
) -> None:
    """Show who searched for whom."""
    from reidsearch import audit as auditing
    from reidsearch import datasets, gallery

    try:
        start = datasets.parse_timestamp(since) or 0.0
    except ValueError as error:
        raise UsageError(f"--since: {error}") from None
    catalog = gallery.open_catalog(ctx.obj)
    try:
        entries = auditing.entries(catalog, since=start)
        saved = 0 if save is None else auditing.save_pictures(catalog, save)
    finally:
        catalog.close()
    columns = ("time", "operator", "command", "hits", "probe_sha256", "filters")
    if json:
        output.print_json(entries)
    elif csv:
        rows = [{key: entry[key] for key in columns} for entry in entries]
        output.print_csv(rows, columns=columns)
    else:
        shown = [
            (e["time"], e["operator"], e["command"], e["hits"], e["probe_sha256"][:12], _words(e))
            for e in entries
        ]
        output.print_table(shown, columns=columns)
    if save is not None:
        output.say(f"{saved} pictures: {save}")


def _words(entry: dict[str, Any]) -> str:
    given = {k: v for k, v in entry["filters"].items() if v not in (None, False, [])}
    return ", ".join(f"{key} {value}" for key, value in given.items())
