"""``reidsearch status``"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.cli.tables import print_table
from reidsearch.types import Scan
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.inspection.status import Status
    from reidsearch.times import Zone

SCANS = {
    Scan.EXACT: "exact: every vector is compared",
    Scan.QUANTISED: "through smaller copies of all vectors; query --exact compares them in full",
}
LISTED = 12  # cameras and sites by name


def status(ctx: typer.Context, json: Json = False) -> None:
    """Show what is stored, and which settings are in force."""
    from reidsearch.opening import opened

    with opened(ctx.obj, purpose="status") as gallery:
        now = gallery.status()
    document = now.document()
    if json:
        output.print_json(document)
        return
    settings = [(setting.key, _value(setting.value), setting.source) for setting in now.settings]
    print_table(settings, columns=("setting", "value", "from"))
    if now.running is not None:
        verb = now.running.command
        what = "An ingest" if verb == "ingest" else f"reidsearch {verb}"
        output.say(f"{what} is running (process {now.running.pid}).")
    if now.waiting:
        output.say(
            f"{counted(now.waiting, 'pushed crop')} "
            f"{'waits' if now.waiting == 1 else 'wait'} until nobody else changes the gallery."
        )
    if not now.images:
        output.say("Nothing is stored yet. Fill the gallery with: reidsearch ingest FOLDER")
        return
    columns = ("dataset", "root", "split", "encoder", "state", "images")
    rows = [
        tuple(Path(str(value)) if key == "root" else value for key, value in row.items())
        for row in document["images"]
    ]
    print_table(rows, columns=columns)
    print_table(_facts(now, ctx.obj.timezone), columns=("", "gallery"))
    if now.last_ingest and not now.last_ingest.finished and now.running is None:
        output.say("The last ingest was cut short; run it again to go on.")


def _facts(now: "Status", zone: "Zone") -> list[tuple[str, str]]:
    """What is known of all images together."""
    from reidsearch.ranking.cells import Pairing
    from reidsearch.ranking.clock import SECONDS, in_words

    facts = [("cameras", _listed(now.cameras)), ("people", f"{now.people:,}")]
    if len(now.sites) > 1:
        facts.append(("sites", _listed(now.sites)))
    if now.taken is not None:
        first, last = (in_words(one, SECONDS, zone) for one in now.taken)
        facts.append(("taken", f"{first} to {last}"))
    for made in now.learned:
        several = f" with {made.encoder}" if len(now.learned) > 1 else ""
        among = "" if made.pairing in (None, Pairing.ALL) else ", looked for in cells"
        counted = "" if made.sample is None else f"; scores of {made.sample:,} with all"
        facts.append(
            ("learned", f"from {made.source}, {made.images:,} images{among}{counted}{several}")
        )
    for one in now.expanded:
        words = "appearance" if one.kind == "appearance" else "appearance and times"
        words += "" if one.pairing is Pairing.ALL else ", looked for in cells of like images"
        stale = "" if one.current else "; not current, so that searches go without"
        several = f" with {one.encoder}" if len(now.expanded) > 1 else ""
        facts.append(("expanded", f"{one.images:,} images by {words}{several}{stale}"))
    for encoder, scan in now.scan.items():
        several = f" with {encoder}" if len(now.scan) > 1 else ""
        facts.append(("searches", f"{SCANS[scan]}{several}"))
    return [*facts, ("on disk", f"{now.bytes / 1e6:,.1f} MB")]


def _listed(names: Sequence[int | str]) -> str:
    some = ", ".join(map(str, names[:LISTED])) or "none known"
    return f"{some} and {len(names) - LISTED} more" if len(names) > LISTED else some


def _value(text: str | None) -> Path | str | None:
    """A setting's value, a path as such: it may be cut."""
    return Path(text) if text and os.path.isabs(text) else text
