"""``reidsearch audit``"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json, moment


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
    from reidsearch import documents, times
    from reidsearch.gallery import Gallery

    start = moment(since, "--since", ctx.obj.timezone)
    with Gallery(ctx.obj, purpose="audit") as gallery:
        entries = gallery.audit(since=start, save=save)
    if json:
        output.print_json(documents.audit(entries))
        return
    columns = ("time", "operator", "command", "hits", "probe_sha256", "filters")
    if csv:
        rows = [{column: getattr(entry, column) for column in columns} for entry in entries]
        for row in rows:
            row["filters"] = output.as_json(row["filters"])
        output.print_csv(rows, columns=columns)
    else:
        zone = ctx.obj.timezone
        shown = [
            (
                times.show(times.parse(e.time, zone), zone),
                e.operator,
                e.command,
                e.hits,
                e.probe_sha256[:12],
                _words(e.filters),
            )
            for e in entries
        ]
        output.print_table(shown, columns=columns)
    if save is not None:
        output.say(f"{len({e.probe_sha256 for e in entries if e.picture})} pictures: {save}")


def _words(filters: Mapping[str, object]) -> str:
    given = {k: v for k, v in filters.items() if v not in (None, False, [])}
    return ", ".join(f"{key} {value}" for key, value in given.items())
