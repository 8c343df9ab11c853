"""``reidsearch encoders``"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reidsearch.cli import output
from reidsearch.cli.options import Json
from reidsearch.cli.tables import print_table

if TYPE_CHECKING:
    from reidsearch.inspection.encoders import EncoderCard

SHORT = 8  # characters of a fingerprint


def encoders(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH...", help="More encoders: .onnx files, or folders of them."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Tell how many images a second each encodes here."),
    ] = False,
    json: Json = False,
) -> None:
    """Show which encoders there are, what they can do, and which is in use."""
    from reidsearch.opening import opened

    with opened(ctx.obj, purpose="encoders") as gallery:
        cards = gallery.encoders(*paths or (), measure=measure)
    if json:
        output.print_json([card.document() for card in cards])
        return
    usable = [card for card in cards if card.problem is None]
    _print_usable(usable)
    refused = [(card.path, card.problem) for card in cards if card.problem is not None]
    if refused:
        print_table(refused, columns=("file", "why it cannot be used"))
    output.say("Another one is taken with --encoder FILE.")
    if measure:
        output.say("They were timed one after the other; what else runs here slows them.")


def _print_usable(cards: "Sequence[EncoderCard]") -> None:
    """What they are, how good, and where they come from."""
    rows = [
        (
            _named(card),
            None if card.bytes is None else f"{card.bytes / 1e6:.1f}",
            None if card.size is None else f"{card.size[1]}x{card.size[0]}",
            card.dimension,
            None if card.images_per_second is None else round(card.images_per_second),
            card.indexed,
            "yes" if card.in_use else None,
        )
        for card in cards
    ]
    print_table(rows, columns=("encoder", "MB", "pixels", "vector", "images/s", "indexed", "used"))
    measured = [
        (
            _named(card),
            f"{one.data}, cameras never seen" if one.unseen else one.data,
            one.queries,
            f"{one.rank1:.2%}",
            f"{one.mAP:.2%}",
        )
        for card in cards
        for one in card.accuracy
    ]
    if measured:
        print_table(measured, columns=("encoder", "measured on", "queries", "Rank-1", "mAP"))
    told = [
        (name, what, said)
        for card in cards
        for name, what, said in (
            (_named(card), "file", card.path or "not known here: its vectors are"),
            ("", "trained on", card.trained_on or "not told"),
            ("", "terms", card.terms or "not told"),
        )
    ]
    print_table(told, columns=("encoder", "", "what is told of it"))


def _named(card: "EncoderCard") -> str:
    return f"{card.name} ({card.fingerprint[:SHORT]})" if card.fingerprint else card.name
