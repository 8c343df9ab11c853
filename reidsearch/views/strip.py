"""An answer as a small picture, for a terminal: the probe and its hits in rows."""

from typing import TYPE_CHECKING

from PIL import Image

from reidsearch.views import captions, cards, painter, thumbnails, verdicts
from reidsearch.views.palette import LIGHT

if TYPE_CHECKING:
    from reidsearch.search.answer import Answer

PICTURE = (112, 56)  # height, width
GAP = 6


def draw(answer: "Answer", *, width: int) -> Image.Image:
    """The pictures that were asked with and the hits, with ranks and scores, in rows no wider than
    ``width`` pixels where at least one fits."""
    drawn = [
        painter.card(thumbnails.of_probe(one, PICTURE, enlarge=True), PICTURE, kind, said, lines=0)
        for kind, one, said in cards.asked(answer)
    ]
    drawn += [
        painter.card(
            thumbnails.of_hit(hit, PICTURE, enlarge=True),
            PICTURE,
            verdicts.kind(answer, hit),
            said,
            lines=0,
        )
        for hit, said in zip(answer.hits, captions.of_hits(answer), strict=True)
    ]
    wide, high = painter.card_size(PICTURE, lines=0)
    columns = max(1, min((width - GAP) // (wide + GAP), len(drawn)))
    size = (columns * (wide + GAP) + GAP, -(-len(drawn) // columns) * (high + GAP) + GAP)
    image = Image.new("RGB", size, LIGHT.paper)
    for at, one in enumerate(drawn):
        image.paste(one, (GAP + at % columns * (wide + GAP), GAP + at // columns * (high + GAP)))
    return image
