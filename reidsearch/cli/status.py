"""``reidsearch status``"""

from typing import TYPE_CHECKING, Any

import typer

from reidsearch import __version__, config
from reidsearch.cli import output
from reidsearch.cli.options import Json

if TYPE_CHECKING:
    from reidsearch.catalog import Catalog


def status(ctx: typer.Context, json: Json = False) -> None:
    """Show what is stored, and which settings are in force."""
    from reidsearch import gallery

    catalog = gallery.open_catalog(ctx.obj)
    try:
        document = _document(ctx.obj, catalog)
    finally:
        catalog.close()
    if json:
        output.print_json(document)
        return
    settings = [(key, *entry.values()) for key, entry in document["settings"].items()]
    output.print_table(settings, columns=("setting", "value", "from"))
    if not document["images"]:
        output.say("Nothing is stored yet. Fill the gallery with: reidsearch ingest FOLDER")
        return
    rows = [tuple(row.values()) for row in document["images"]]
    output.print_table(rows, columns=tuple(document["images"][0]))
    run = document["last_ingest"]
    if run and not run["finished"]:
        output.say("The last ingest was cut short; run it again to go on.")


def _document(settings: config.Config, catalog: "Catalog") -> dict[str, Any]:
    names = {row.fingerprint: row.name for row in catalog.encoders()}
    run = catalog.runs.last()
    return {
        "version": __version__,
        "settings": {
            key: {
                "value": None if (value := getattr(settings, key)) is None else str(value),
                "from": settings.sources[key],
            }
            for key in config.KEYS
        },
        "cameras": catalog.images.cameras(),
        "images": [
            {**row._asdict(), "encoder": f"{names[row.encoder]} ({row.encoder[:8]})"}
            for row in catalog.images.counts()
        ],
        "last_ingest": run._asdict() if run else None,
    }
