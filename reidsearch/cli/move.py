"""``reidsearch move``"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.cli.progress import moving
from reidsearch.cli.tables import print_table
from reidsearch.config import catalog_file
from reidsearch.errors import UsageError

if TYPE_CHECKING:
    from reidsearch.transport.move import Moved


def move(
    ctx: typer.Context,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE",
            help="For the vectors the address of a Qdrant server, for the catalog the URL of a "
            "PostgreSQL database; embedded for the data dir. Twice to move both.",
        ),
    ] = None,
    remove_old: Annotated[
        bool,
        typer.Option(
            "--remove-old", help="Delete what the places still hold that it was moved from."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Move the gallery to other places, without encoding its images again.

    Vectors go between the data dir and Qdrant servers, the catalog between a file and PostgreSQL.
    All is held against its checksum before the new place is used. Killed or failed, the same
    command goes on; the old place stays as it is until --remove-old.
    """
    from reidsearch.documents.moving import place_documents
    from reidsearch.opening import opened

    settings, places = ctx.obj, list(to or ())
    if settings.catalog_url is not None and catalog_file(settings.data_dir).exists():
        # There is a catalog in the data dir: the URL says where it is to be.
        if not remove_old:
            places.append(settings.catalog_url.secret)
        settings = replace(settings, catalog_url=None)
    if bool(places) is remove_old:
        raise UsageError(
            "nothing says where to move to" if not places else "--remove-old stands alone",
            hint="Give a place with --to, then see that all is well, then give --remove-old.",
        )
    with opened(settings, purpose="move") as gallery:
        if remove_old:
            removed = gallery.remove_old()
            if json:
                output.print_json({"removed": place_documents(removed)})
            for one in removed if not json else ():
                output.say(f"The {one.part} at {one.address} are gone.")
            if not removed:
                output.say("There is no old place.")
            return
        with moving(quiet=ctx.meta["quiet"]) as show:
            done = gallery.move(places, on_progress=show)
    if json:
        output.print_json(done.document())
    else:
        _print(done)


def _print(done: "Moved") -> None:
    rows = [
        (one.part, one.source, one.target, _counted(one.counts), f"{one.seconds:.1f}")
        for one in done.parts
    ]
    if rows:
        print_table(rows, columns=("moved", "from", "to", "verified there", "seconds"))
    else:
        output.say("It is there already.")
    for one in done.parts:
        if one.counts.get("anew"):
            output.say(f"Expanded vectors made anew, not brought along: {one.counts['anew']:,}.")
        if one.part == "vectors":
            output.say(
                "Payload indexes, and smaller copies of the vectors where there are any, were made "
                "anew; what was learned is in the catalog."
            )
        if one.target.startswith("postgresql"):
            output.say(
                "The data dir knows the address, not the password: that is read from PGPASSWORD or "
                "~/.pgpass, or given with --catalog-url."
            )
    for left in done.left:
        output.say(
            f"Left as it was: {left.part} at {left.address}. When all is well, remove it with: "
            "reidsearch move --remove-old"
        )


def _counted(counts: "dict[str, int] | object") -> str:
    assert isinstance(counts, dict)
    shown = ("vectors", "expanded", "image", "embedding", "query_log")
    return ", ".join(f"{counts[name]:,} {name}" for name in shown if counts.get(name))
