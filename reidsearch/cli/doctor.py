"""``reidsearch doctor``"""

from collections import Counter
from typing import Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json

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
