"""``reidsearch audit``"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch import times
from reidsearch.cli import output
from reidsearch.cli.options import OUTPUT, Json, moment
from reidsearch.cli.tables import print_table

if TYPE_CHECKING:
    from reidsearch.search.audit import AuditEntry

SHORT = 12  # characters of a SHA-256 in the table
SHOWN = 3  # pictures of one search that are told one by one in the table


def audit(
    ctx: typer.Context,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Only searches at this time or later.")
    ] = "",
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help='Write the kept probes there (setting audit = "pictures").'
        ),
    ] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="One CSV row for each search.", rich_help_panel=OUTPUT)
    ] = False,
    json: Json = False,
) -> None:
    """Show who searched for whom."""
    from reidsearch.documents.audits import audit_documents
    from reidsearch.opening import opened

    start = moment(since, "--since", ctx.obj.timezone)
    with opened(ctx.obj, purpose="audit") as gallery:
        entries = gallery.audit(since=start, save=save)
    if json:
        output.print_json(audit_documents(entries))
        return
    columns = ("time", "operator", "command", "hits", "probe_sha256")
    if csv:
        _print_csv(entries, columns=(*columns, "filters", "together_sha256", "not_sha256"))
    else:
        zone = ctx.obj.timezone
        shown = [
            (
                times.show(times.parse(e.time, zone), zone),
                e.operator,
                e.command,
                e.hits,
                e.probe_sha256[:SHORT],
                _short(e.together[1:]),
                _short(e.unlike),
                _words(e.filters, zone),
            )
            for e in entries
        ]
        print_table(shown, columns=(*columns, "together with", "not", "filters"))
    if save is not None:
        kept = {digest for e in entries if e.picture for digest in e.digests}
        output.say(f"{len(kept)} pictures: {save}")


def _print_csv(entries: "Sequence[AuditEntry]", *, columns: Sequence[str]) -> None:
    from reidsearch.documents.audits import audit_documents

    rows = [
        {
            **document,
            "filters": output.as_json(document["filters"]),
            "together_sha256": " ".join(filter(None, document["together_sha256"])),
            "not_sha256": " ".join(filter(None, document["not_sha256"])),
        }
        for document in audit_documents(entries)
    ]
    output.print_csv([{c: row[c] for c in columns} for row in rows], columns=columns)


def _short(digests: Sequence[str]) -> str:
    """The beginnings of the first few; of one that was forgotten nothing is known."""
    shown = [digest[:SHORT] or "forgotten" for digest in digests[:SHOWN]]
    more = len(digests) - len(shown)
    return " ".join([*shown, *([f"and {more} more"] if more else [])])


def _words(filters: Mapping[str, object], zone: times.Zone) -> str:
    """What was given, as people would say it."""
    said = []
    for key, value in filters.items():
        if value in (None, False, []):
            continue
        if isinstance(value, float):
            value = times.show(value, zone) if key in ("since", "until") else f"{value:.4g}"
        elif isinstance(value, list):
            value = f"[{', '.join(map(str, value))}]"
        said.append(key if value is True else f"{key} {value}")
    return ", ".join(said)
