"""Contact sheets: a row for each question, its pictures first, then the hits in rank order."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from reidsearch.files import replacing
from reidsearch.views import captions, cards, endings, pages, painter, thumbnails, verdicts
from reidsearch.views.made import Facts, Made
from reidsearch.views.palette import LIGHT
from reidsearch.words import counted

if TYPE_CHECKING:
    from reidsearch.search.answer import Answer

ENDINGS = (".png", ".html")
THUMBNAIL = (192, 96)  # height, width: twice a Market-1501 crop would blur less, but fit fewer
BESIDE = 10  # hits in a row
NARROWEST = 560  # pixels: what a title and a legend need


def save(answers: Sequence["Answer"], path: Path, made: Made | None = None) -> None:
    """Write a sheet to ``path``; its ending, .png or .html, says which kind.

    Frames are green where the hit shows the probe's identity, red where it does not, and grey
    where either is not known, and a mark says so, too. ``made`` is told in its head. Raises
    UsageError on another ending, OSError where it cannot be written; then nothing is.
    """
    endings.check(path, ENDINGS)
    with replacing(path) as partial:
        if path.suffix.lower() == ".png":
            draw(answers, made or Made()).save(partial, "PNG")
        else:
            partial.write_text(html(answers, made or Made()), encoding="utf-8")


def html(answers: Sequence["Answer"], made: Made | None = None, *, full_paths: bool = True) -> str:
    """The sheet as a page that holds its pictures; each tells its path, or only its file's name."""
    return pages.render(
        "sheet.html",
        title=title(answers),
        facts=facts(answers, made),
        answers=cards.rows(answers, full_paths=full_paths),
    )


def title(answers: Sequence["Answer"]) -> str:
    """What was asked, and where the hits are from."""
    sets = list(dict.fromkeys(hit.dataset for answer in answers for hit in answer.hits))
    where = f" in {', '.join(sets)}" if sets else ""
    if len(answers) == 1:
        return f"Query {captions.question(answers[0])}{where}"
    return f"{counted(len(answers), 'query', 'queries')}{where}"


def facts(answers: Sequence["Answer"], made: Made | None) -> Facts:
    """How they were ranked, when and by which command."""
    ranked = dict.fromkeys(", ".join(answer.ranking.words) or "cosine" for answer in answers)
    zone = answers[0].zone if answers else None
    by = [("ranked by", "; ".join(ranked))] if ranked else []
    return by if made is None else [*by, *made.facts(zone)]


def draw(answers: Sequence["Answer"], made: Made | None = None) -> Image.Image:
    """The sheet as a picture."""
    asked = [cards.asked(answer) for answer in answers]
    said = [captions.of_hits(answer) for answer in answers]
    everything = [one for each in said for one in each]
    everything += [one for each in asked for _, _, one in each]
    lines = max((len(one.lines) for one in everything), default=0)
    width, height = painter.card_size(THUMBNAIL, lines=lines)
    cell, row = width + painter.GAP, height + painter.GAP
    # Many pictures of one question stand in a square.
    sides = [math.ceil(math.sqrt(len(each))) for each in asked]
    head = max(sides, default=1)
    beside = min(max((len(answer.hits) for answer in answers), default=0), BESIDE)
    # What was asked with stands apart from the hits by one more gap.
    whole = max((head + beside) * cell, NARROWEST)
    strips = []
    for answer, each, side, hits in zip(answers, asked, sides, said, strict=True):
        down = max(math.ceil(len(each) / side), math.ceil(len(hits) / BESIDE))
        strip = Image.new("RGB", (whole, down * row - painter.GAP), LIGHT.paper)
        for at, (kind, one, caption) in enumerate(each):
            picture = thumbnails.of_probe(one, THUMBNAIL, enlarge=True)
            drawn = painter.card(picture, THUMBNAIL, kind, caption, lines=lines)
            strip.paste(drawn, (at % side * cell, at // side * row))
        for at, (hit, caption) in enumerate(zip(answer.hits, hits, strict=True)):
            picture = thumbnails.of_hit(hit, THUMBNAIL, enlarge=True)
            kind = verdicts.kind(answer, hit)
            drawn = painter.card(picture, THUMBNAIL, kind, caption, lines=lines)
            strip.paste(drawn, ((head + at % BESIDE) * cell + painter.GAP, at // BESIDE * row))
        strips.append(strip)
    top = painter.heading(title(answers), facts(answers, made), verdicts.MEANINGS, width=whole)
    return painter.stacked([top, *strips])
