"""An evaluation, or two side by side, as one HTML page, with its plots beside it. Needs matplotlib
([report])."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch import __version__
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.views import cards, pages, plots
from reidsearch.views.made import Facts, Made
from reidsearch.words import one_in

if TYPE_CHECKING:
    from reidsearch.evaluation.details import Details
    from reidsearch.evaluation.protocol import Evaluation

PAGE = "report.html"


def write(
    evaluations: "Sequence[Evaluation]",
    folder: Path,
    made: Made | None = None,
    *,
    difference: str | None = None,
) -> Path:
    """Write report.html, which holds everything it shows, and its plots as SVG to ``folder``.

    ``evaluations`` are one, or two with the ``difference`` between them in words; ``made`` is told
    in its head. Returns the page's path. Raises ValueError where an evaluation has no details,
    UsageError where matplotlib is missing, OSError where the folder cannot be written.
    """
    details = [one.details for one in evaluations if one.details is not None]
    if len(details) < len(evaluations):
        raise ValueError("a report needs evaluations with their details")
    plots.require()
    drawn = plots.drawn(evaluations)
    told = facts(evaluations, details, made or Made(), difference=difference)
    page = _page(evaluations, details, drawn, told)
    return plots.save(folder, PAGE, page, drawn)


def table(evaluation: "Evaluation") -> str:
    """The numbers alone as a page, for a notebook's cell."""
    return pages.render(
        "evaluation.html",
        title=title([evaluation]),
        protocol=_protocol(evaluation),
        columns=["", evaluation.title],
        numbers=numbers([evaluation]),
    )


def title(evaluations: "Sequence[Evaluation]") -> str:
    """Which encoders, on which data sets."""
    encoders = " against ".join(one.encoder for one in evaluations)
    sets = list(dict.fromkeys(name for one in evaluations for name in one.datasets))
    return f"{encoders} on {', '.join(sets)}" if sets else encoders


def facts(
    evaluations: "Sequence[Evaluation]",
    details: "Sequence[Details]",
    made: Made,
    *,
    difference: str | None,
) -> Facts:
    """What was measured, with what, when and by which command."""
    first = evaluations[0]
    found = [("protocol", _protocol(first)), ("ranking", first.title)]
    if difference is not None:
        found.append(("difference", difference))
    return [*found, ("with", f"reidsearch {__version__}"), *made.facts(details[0].zone)]


def numbers(evaluations: "Sequence[Evaluation]") -> list[tuple[str, ...]]:
    """A row for each measure, with all evaluations' values in percent."""
    columns = [one.numbers() for one in evaluations]
    return [
        (row[0][0], *(f"{value:.2%}" for _, value in row)) for row in zip(*columns, strict=True)
    ]


def thresholds(scores: ScoreDistribution) -> list[tuple[str, str, str]]:
    """How many pairs of different people reach which score, and how many of one person do."""
    rows = []
    for rate, threshold in scores.thresholds.items():
        if threshold is not None:
            found = scores.match_rate(threshold)
            share = "" if found is None else f"{found:.1%}"
            rows.append((one_in(rate), f"{threshold:.3f}", share))
    return rows


def _protocol(one: "Evaluation") -> str:
    return f"Market-1501: {one.queries:,} queries, {one.gallery:,} gallery images"


def _page(
    evaluations: "Sequence[Evaluation]",
    details: "Sequence[Details]",
    drawn: dict[str, str],
    told: Facts,
) -> str:
    first = evaluations[0]
    several = len(evaluations) > 1
    return pages.render(
        "report.html",
        title=title(evaluations),
        facts=told,
        columns=["", *(one.encoder if several else one.title for one in evaluations)],
        numbers=numbers(evaluations),
        scored=", ".join(first.ranking.words) or "cosine",
        cmc=plots.inline(drawn["cmc"]),
        ap=plots.inline(drawn["ap"]),
        parts=[
            {
                "of": f" of {one.encoder}" if several else "",
                "thresholds": thresholds(detail.pair_scores),
                "scores": plots.inline(drawn[f"scores{last}"]),
                "pairs": plots.inline(drawn.get(f"camera-pairs{last}", "")),
                "worst": cards.rows(detail.worst),
                "best": cards.rows(detail.best),
            }
            for one, detail, last in zip(evaluations, details, ("", "-2"), strict=False)
        ],
    )
