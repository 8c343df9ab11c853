"""``reidsearch status``"""

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json


def status(ctx: typer.Context, json: Json = False) -> None:
    """Show what is stored, and which settings are in force."""
    from reidsearch.gallery import Gallery

    with Gallery(ctx.obj, purpose="status") as gallery:
        now = gallery.status()
    document = now.document()
    if json:
        output.print_json(document)
        return
    settings = [(setting.key, setting.value, setting.source) for setting in now.settings]
    output.print_table(settings, columns=("setting", "value", "from"))
    if not now.images:
        output.say("Nothing is stored yet. Fill the gallery with: reidsearch ingest FOLDER")
        return
    columns = ("dataset", "root", "split", "encoder", "state", "images")
    output.print_table([tuple(row.values()) for row in document["images"]], columns=columns)
    if now.last_ingest and not now.last_ingest.finished:
        output.say("The last ingest was cut short; run it again to go on.")
