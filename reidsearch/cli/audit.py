"""``reidsearch audit``"""

from pathlib import Path
from typing import Annotated, Any

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
    from reidsearch import audit as auditing
    from reidsearch import gallery

    start = moment(since, "--since") or 0.0
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
