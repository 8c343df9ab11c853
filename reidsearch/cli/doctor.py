"""``reidsearch doctor``"""

from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.cli.tables import print_table

if TYPE_CHECKING:
    from reidsearch.documents.checkups import FindingDocument

SHOWN = 5  # subjects of each kind of finding
FAILURE = 1  # the exit code where something is left to be done


def doctor(
    ctx: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended.")] = False,
    json: Json = False,
) -> None:
    """Compare catalog, vectors and files; change nothing without --fix."""
    from reidsearch.opening import opened

    with opened(ctx.obj, purpose="doctor") as gallery:
        checkup = gallery.doctor(fix=fix)
    document = checkup.document()
    if json:
        output.print_json(document)
    else:
        _print_findings(document["findings"], fix=fix)
        output.say(f"{checkup.images} images and {checkup.vectors} vectors looked at.")
    if checkup.left:
        raise typer.Exit(FAILURE)


def _print_findings(findings: list["FindingDocument"], *, fix: bool) -> None:
    if not findings:
        output.say("Catalog, vectors and files agree.")
        return
    rows = [
        (
            one["kind"],
            one["found"],
            one["left"],
            one["what"],
            ", ".join(one["subjects"][:SHOWN]) + ", ..." * (one["found"] > SHOWN),
        )
        for one in findings
    ]
    print_table(rows, columns=("finding", "found", "left", "what it means", "where"))
    if not fix:
        output.say("Nothing was changed; mend it with: reidsearch doctor --fix")
    elif any(one["left"] for one in findings):
        output.say(
            "What is left needs its image, or another --encoder. Images that are gone for good are "
            "removed by ingest --prune, or forget --image PATH, an encoder that is gone by "
            "forget --vectors-of NAME."
        )
