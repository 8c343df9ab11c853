"""Plots of evaluations and scores as SVG, whose colours a page's style sheet follows. They need
matplotlib."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch import names
from reidsearch.errors import UsageError
from reidsearch.files import replacing
from reidsearch.ranking.scores import BINS, LOWEST, WIDTH, ScoreDistribution
from reidsearch.views.palette import LIGHT
from reidsearch.words import one_in

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from reidsearch.evaluation.protocol import Evaluation

CMC_LENGTH = 20
PAIRS = "Scores of pairs from two cameras"
# The templates' CSS knows the palette's colours, and the ground by this name.
PAPER = "paper"
STYLED = re.compile(r'\bstyle="([^"]*)"')
STYLE: Any = {  # its type is another in every version of matplotlib
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), LIGHT.ink),
    **dict.fromkeys(("xtick.color", "ytick.color"), LIGHT.ink),
    "axes.facecolor": "none",
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "grid.color": LIGHT.unsure,
}
LOOKS = ((LIGHT.accent, "-", "o"), (LIGHT.wrong, "--", "s"))  # of the first encoder and the second


def available() -> bool:
    """Whether matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def require() -> None:
    """Raise UsageError where matplotlib is missing."""
    if not available():
        raise UsageError(
            "a report needs matplotlib", hint="Install it with: pip install 'reidsearch[report]'"
        )


def drawn(evaluations: "Sequence[Evaluation]") -> dict[str, str]:
    """Each plot as SVG, by its name: those of all evaluations, ``cmc`` and ``ap``, and those of
    each, ``scores`` and ``camera-pairs``, with ``-2`` for the second's."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        figures = {"cmc": _cmc(evaluations), "ap": _ap(evaluations)}
        for number, one in enumerate(evaluations, start=1):
            last = f"-{number}" if number > 1 else ""
            if one.details is not None:
                figures[f"scores{last}"] = _scores(one.details.pair_scores, PAIRS)
            if one.camera_pairs:
                figures[f"camera-pairs{last}"] = _camera_pairs(one.camera_pairs)
        return {name: _svg(figure) for name, figure in figures.items()}


def of_scores(found: Mapping[str, tuple[ScoreDistribution, str]]) -> dict[str, str]:
    """Plots of distributions, each under its title, as SVG by the same names."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        return {name: _svg(_scores(one, title)) for name, (one, title) in found.items()}


def inline(svg: str) -> "Markup":
    """A plot for a page that takes it as it is: matplotlib has escaped what it was given. Its own
    style sheet would be that of the whole page."""
    from markupsafe import Markup

    return Markup(re.sub(r"<style.*?</style>", "", svg[svg.index("<svg") :])) if svg else Markup()


def save(folder: Path, page: str, text: str, drawn: Mapping[str, str]) -> Path:
    """Write a page of that name, and its plots as SVG beside it. Returns the page's path. Raises
    OSError where the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {f"{name}.svg": svg for name, svg in drawn.items()} | {page: text}
    for name, content in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(content, encoding="utf-8")
    return folder / page


def _svg(figure: "Figure") -> str:
    figure.patch.set_gid(PAPER)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return STYLED.sub(_attributes, buffer.getvalue())


def _attributes(styled: "re.Match[str]") -> str:
    """A style as attributes of its own: a page's style sheet goes before these, and no content
    security policy stops them."""
    parts = (part.partition(":") for part in styled[1].split(";") if part.strip())
    return " ".join(f'{name.strip()}="{value.strip()}"' for name, _, value in parts)


def _figure(*, width: float = 4.3, height: float = 3.0) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _cmc(evaluations: "Sequence[Evaluation]") -> "Figure":
    figure, axes = _figure()
    for one, (color, line, marker) in zip(evaluations, LOOKS, strict=False):
        curve = 100 * one.per_probe.cmc(CMC_LENGTH)
        places = np.arange(1, CMC_LENGTH + 1)
        axes.plot(places, curve, line, marker=marker, markersize=4, color=color, label=one.encoder)
    axes.set(title="CMC", xlabel="rank", ylabel="probes with a match within it")
    axes.set_ylim(top=min(axes.get_ylim()[1], 100.5))  # there is no more than all
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.grid(alpha=0.3)
    if len(evaluations) > 1:
        _plain(axes.legend(frameon=False, loc="lower right"))
    return figure


def _ap(evaluations: "Sequence[Evaluation]") -> "Figure":
    figure, axes = _figure()
    for one, (color, line, _) in zip(evaluations, LOOKS, strict=False):
        values = 100 * one.per_probe.ap[one.per_probe.counted]
        label = f"mAP {values.mean():.2f} %"
        if len(evaluations) > 1:
            bins = np.linspace(0, 100, 21).tolist()
            axes.hist(values, bins=bins, histtype="step", color=color, linestyle=line)
            axes.plot([], [], line, color=color, label=f"{one.encoder}: {label}")
        else:
            axes.hist(values, bins=np.linspace(0, 100, 41).tolist(), color=color)
            axes.axvline(values.mean(), color=LIGHT.wrong, label=label)
    axes.set(title="Average precision", xlabel="AP of a probe", ylabel="probes")
    axes.xaxis.set_major_formatter("{x:g} %")
    _plain(axes.legend(frameon=False, loc="upper left"))
    return figure


def _camera_pairs(pairs: dict[tuple[str, str], float]) -> "Figure":
    from matplotlib.ticker import MaxNLocator

    cameras = names.in_order({camera for pair in pairs for camera in pair})
    values = np.array([[100 * pairs.get((a, b), np.nan) for b in cameras] for a in cameras])
    size = 1.6 + 0.5 * len(cameras)
    figure, axes = _figure(width=size + 0.6, height=size)
    most = math.ceil(np.nanmax(values))
    least = min(math.floor(np.nanmin(values)), most - 1)  # whole percents, as the scale tells them
    shown = axes.imshow(values, cmap="viridis", vmin=least, vmax=most)
    if len(cameras) <= 12:  # more would not be legible
        middle = (least + most) / 2
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = "black" if value > middle else "white"
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=ink, size=8)
    axes.set(title="mAP in %", xlabel="gallery camera", ylabel="probe camera")
    axes.set_xticks(range(len(cameras)), cameras)
    axes.set_yticks(range(len(cameras)), cameras)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a name is no formula
    bar = figure.colorbar(shown, format="{x:.0f} %", shrink=0.8)
    bar.locator = MaxNLocator(6, integer=True)
    bar.update_ticks()
    return figure


def _scores(found: ScoreDistribution, title: str) -> "Figure":
    figure, axes = _figure(width=7.4, height=3.2)
    centres = (LOWEST + WIDTH * (np.arange(BINS) + 0.5)).reshape(-1, 10).mean(axis=1)
    for counts, color, name in (
        (found.different, LIGHT.wrong, "different people"),
        (found.same, LIGHT.right, "same person"),
    ):
        if counts.any():
            tens = counts.reshape(-1, 10).sum(axis=1)
            density = tens / tens.sum() / (10 * WIDTH)
            axes.fill_between(centres, density, color=color, alpha=0.45)
            axes.plot([], [], color=color, linewidth=5, alpha=0.6, label=name)
    for rate, threshold in found.thresholds.items():
        if threshold is not None:
            axes.axvline(threshold, color=LIGHT.quiet, linewidth=0.8, linestyle="--")
            top = axes.get_ylim()[1]
            axes.text(threshold, top, f" {one_in(rate)}", size=7, rotation=90, va="top")
    used = np.flatnonzero(found.same + found.different)
    if len(used):
        axes.set_xlim(LOWEST + WIDTH * used[0], LOWEST + WIDTH * (used[-1] + 1))
    axes.set(title=title, xlabel="score", ylabel="density")
    # Above the axes, where no threshold runs through it.
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    return figure


def _plain(legend: Any) -> None:
    for label in legend.get_texts():
        label.set_parse_math(False)  # an encoder's name is no formula
