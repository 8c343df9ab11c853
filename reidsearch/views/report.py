"""An evaluation as one HTML page, with its plots beside it. Needs matplotlib ([report])."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch import __version__, names
from reidsearch.errors import UsageError
from reidsearch.files import replacing
from reidsearch.ranking.scores import BINS, LOWEST, RATES, WIDTH, ScoreDistribution
from reidsearch.views import pages, sheet
from reidsearch.views.palette import LIGHT

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from reidsearch.evaluate import Details, Evaluation

CMC_LENGTH = 20
PAGE = "report.html"
# The templates' CSS knows the palette's colours, and the ground by this name.
PAPER = "paper"
STYLE: Any = {  # its type is another in every version of matplotlib
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), LIGHT.ink),
    **dict.fromkeys(("xtick.color", "ytick.color"), LIGHT.ink),
    "axes.facecolor": "none",
    "grid.color": LIGHT.unsure,
}


def require_plots() -> None:
    """Raise UsageError where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(
            "a report needs matplotlib", hint="Install it with: pip install 'reidsearch[report]'"
        ) from None


def write(evaluation: "Evaluation", folder: Path) -> Path:
    """Write report.html, which holds everything it shows, and its plots as SVG to ``folder``.

    Returns the page's path. Raises ValueError where the evaluation has no details, UsageError where
    matplotlib is missing, OSError where the folder cannot be written.
    """
    details = evaluation.details
    if details is None:
        raise ValueError("a report needs an evaluation with its details")
    require_plots()
    plots = _plots(evaluation, details)
    return save(folder, PAGE, _page(evaluation, details, plots), plots)


def table(evaluation: "Evaluation") -> str:
    """The numbers alone as a page, for a notebook's cell."""
    return pages.render(
        "evaluation.html", evaluation=evaluation, version=__version__, numbers=_numbers(evaluation)
    )


def _numbers(evaluation: "Evaluation") -> list[tuple[str, str]]:
    return [(name, f"{value:.2%}") for name, value in evaluation.numbers()]


def _page(evaluation: "Evaluation", details: "Details", plots: dict[str, str]) -> str:
    pairs = details.pair_scores
    thresholds = []
    for rate in RATES:
        threshold = pairs.threshold(rate)
        if threshold is not None:
            found = pairs.match_rate(threshold)
            share = "" if found is None else f"{found:.1%}"
            thresholds.append((f"1 in {1 / rate:,.0f}", f"{threshold:.3f}", share))
    return pages.render(
        "report.html",
        evaluation=evaluation,
        version=__version__,
        numbers=_numbers(evaluation),
        thresholds=thresholds,
        plots=in_page(plots),
        worst=sheet.rows(details.worst),
        best=sheet.rows(details.best),
    )


def in_page(plots: dict[str, str]) -> "dict[str, Markup]":
    """The plots as a template takes them: as they are, as matplotlib has escaped what it was
    given."""
    from markupsafe import Markup

    return {name: Markup(svg[svg.index("<svg") :]) for name, svg in plots.items()}


def save(folder: Path, page: str, text: str, plots: dict[str, str]) -> Path:
    """Write a page of that name, and its plots as SVG beside it. Returns the page's path. Raises
    OSError where the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {f"{name}.svg": svg for name, svg in plots.items()} | {page: text}
    for name, content in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(content, encoding="utf-8")
    return folder / page


def _plots(evaluation: "Evaluation", details: "Details") -> dict[str, str]:
    """Each plot as SVG, by its name."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        figures = {"cmc": _cmc(evaluation), "ap": _ap(evaluation)}
        figures["scores"] = scores(details.pair_scores, "Scores of pairs from two cameras")
        if evaluation.camera_pairs:
            figures["camera-pairs"] = _camera_pairs(evaluation.camera_pairs)
        return as_svg(figures)


def as_svg(figures: dict[str, "Figure"]) -> dict[str, str]:
    """The same figures as texts."""
    drawn = {}
    for name, figure in figures.items():
        figure.patch.set_gid(PAPER)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
        drawn[name] = buffer.getvalue()
    return drawn


def _figure(*, width: float = 4.6, height: float = 3.2) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _cmc(evaluation: "Evaluation") -> "Figure":
    figure, axes = _figure()
    curve = evaluation.per_probe.cmc(CMC_LENGTH)
    axes.plot(np.arange(1, CMC_LENGTH + 1), curve, marker="o", markersize=4, color=LIGHT.accent)
    axes.set(title="CMC", xlabel="rank", ylabel="probes with a hit within it")
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.grid(alpha=0.3)
    return figure


def _ap(evaluation: "Evaluation") -> "Figure":
    figure, axes = _figure()
    values = evaluation.per_probe.ap[evaluation.per_probe.counted]
    axes.hist(values, bins=np.linspace(0, 1, 41), color=LIGHT.accent)
    axes.axvline(values.mean(), color=LIGHT.wrong, label=f"mAP {values.mean():.2%}")
    axes.set(title="Average precision", xlabel="AP", ylabel="probes")
    axes.legend(frameon=False)
    return figure


def _camera_pairs(pairs: dict[tuple[str, str], float]) -> "Figure":
    cameras = names.in_order({camera for pair in pairs for camera in pair})
    values = np.array([[pairs.get((a, b), np.nan) for b in cameras] for a in cameras])
    size = 1.6 + 0.5 * len(cameras)
    figure, axes = _figure(width=size + 0.6, height=size)
    shown = axes.imshow(values, cmap="viridis")
    if len(cameras) <= 12:  # more would not be legible
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = "black" if value > middle else "white"
                axes.text(column, row, f"{value:.0%}", ha="center", va="center", color=ink, size=8)
    axes.set(title="mAP by camera", xlabel="gallery camera", ylabel="probe camera")
    axes.set_xticks(range(len(cameras)), cameras)
    axes.set_yticks(range(len(cameras)), cameras)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a name is no formula
    figure.colorbar(shown, format="{x:.0%}", shrink=0.8)
    return figure


def scores(found: ScoreDistribution, title: str) -> "Figure":
    """How often pairs of the same person, and of different people, have each score, and the
    thresholds."""
    figure, axes = _figure(width=8.0)
    centres = (LOWEST + WIDTH * (np.arange(BINS) + 0.5)).reshape(-1, 10).mean(axis=1)
    for counts, color, name in (
        (found.different, LIGHT.wrong, "different people"),
        (found.same, LIGHT.right, "same person"),
    ):
        if counts.any():
            tens = counts.reshape(-1, 10).sum(axis=1)
            density = tens / tens.sum() / (10 * WIDTH)
            axes.fill_between(centres, density, color=color, alpha=0.45)
            axes.plot([], [], color=color, label=name)
    for rate in RATES:
        threshold = found.threshold(rate)
        if threshold is not None:
            axes.axvline(threshold, color=LIGHT.quiet, linewidth=0.8, linestyle="--")
            top = axes.get_ylim()[1]
            axes.text(threshold, top, f" 1 in {1 / rate:,.0f}", size=7, rotation=90, va="top")
    used = np.flatnonzero(found.same + found.different)
    if len(used):
        axes.set_xlim(LOWEST + WIDTH * used[0], LOWEST + WIDTH * (used[-1] + 1))
    axes.set(title=title, xlabel="score", ylabel="density")
    axes.legend(frameon=False, loc="upper left")
    return figure
