"""An evaluation as one HTML page, with its plots beside it. Needs matplotlib ([report])."""

import base64
import html
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reidsearch import __version__
from reidsearch.errors import UsageError
from reidsearch.evaluate import Evaluation
from reidsearch.gallery import Gallery
from reidsearch.ranking.scores import BINS, LOWEST, RATES, WIDTH, ScoreDistribution
from reidsearch.types import Answer, Hit
from reidsearch.views import sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 10  # worst and best probes, and hits of each
CMC_LENGTH = 20
PAGE = "report.html"
SAME, DIFFERENT, ACCENT = "#1a7f37", "#cf222e", "#0969da"


def check() -> None:
    """Raise UsageError where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(
            "a report needs matplotlib", hint="Install it with: pip install 'reidsearch[report]'"
        ) from None


def write(evaluation: Evaluation, gallery: Gallery, folder: Path, *, title: str) -> Path:
    """Write report.html, which holds everything it shows, and its plots as SVG to ``folder``.

    ``evaluation`` must have its camera pairs. Returns the page's path. Raises UsageError where
    matplotlib is missing, OSError where the folder cannot be written.
    """
    check()
    distribution, hits = _collect(evaluation)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "cmc": _cmc(evaluation),
        "ap": _ap(evaluation),
        "camera-pairs": _camera_pairs(evaluation),
        "scores": _scores(distribution),
    }
    drawn = {}
    for name, figure in figures.items():
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
        drawn[name] = buffer.getvalue()
        (folder / f"{name}.svg").write_text(drawn[name], encoding="utf-8")
    order = np.argsort(evaluation.per_probe.ap, kind="stable")
    order = order[evaluation.per_probe.counted[order]]
    sheets = {
        "The worst probes": _sheet(evaluation, gallery, hits, order[:SHOWN]),
        "The best probes": _sheet(evaluation, gallery, hits, order[::-1][:SHOWN]),
    }
    page = folder / PAGE
    page.write_text(_page(evaluation, distribution, drawn, sheets, title), encoding="utf-8")
    return page


def _collect(evaluation: Evaluation) -> tuple[ScoreDistribution, NDArray[np.int64]]:
    """The scores of all probes with all gallery images from other cameras, and the positions of
    each probe's SHOWN nearest in its own gallery (Q x SHOWN)."""
    trial = evaluation.trial
    probes, gallery = trial.probe_labels, trial.gallery_labels
    nearest: list[NDArray[np.int64]] = []

    def pairs() -> Iterator[tuple[Any, NDArray[np.bool_], NDArray[np.bool_]]]:
        start = 0
        for distances in trial.distances():
            block = slice(start, start + len(distances))
            start += len(distances)
            same = probes.identity[block][:, None] == gallery.identity
            elsewhere = probes.camera[block][:, None] != gallery.camera
            yield 1 - distances, same & elsewhere, ~same & elsewhere
            own = np.where(same & ~elsewhere, np.inf, distances)
            nearest.append(np.argsort(own, axis=1, kind="stable")[:, :SHOWN])

    return ScoreDistribution.of(pairs()), np.concatenate(nearest)


def _sheet(
    evaluation: Evaluation, gallery: Gallery, hits: NDArray[np.int64], probes: NDArray[np.int64]
) -> str:
    """A contact sheet as a data URL."""
    trial = evaluation.trial
    ids = trial.stored.ids
    wanted = np.concatenate([trial.probes[probes], trial.gallery[hits[probes]].reshape(-1)])
    rows = gallery.catalog.images.describe(gallery.encoder_id, np.unique(ids[wanted]).tolist())

    def hit(rank: int, id: int, probe: int) -> Hit:
        row = rows[id]
        at = int(np.searchsorted(ids, id))
        score = float(trial.vectors[probe] @ trial.vectors[at])
        path = str(Path(row.root) / row.path)
        return Hit(
            rank, score, id, row.identity, row.camera, row.sequence, row.frame, row.split, path
        )

    answers = []
    for probe in probes.tolist():
        at = int(trial.probes[probe])
        own = rows[int(ids[at])]
        found = [
            hit(rank, int(ids[trial.gallery[g]]), at) for rank, g in enumerate(hits[probe], start=1)
        ]
        path = str(Path(own.root) / own.path)
        answers.append(Answer(path, own.camera, own.identity, tuple(found)))
    buffer = io.BytesIO()
    sheet.draw(answers).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _figure(*, width: float = 5.2, height: float = 3.4) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _cmc(evaluation: Evaluation) -> "Figure":
    figure, axes = _figure()
    curve = evaluation.per_probe.cmc(CMC_LENGTH)
    axes.plot(np.arange(1, CMC_LENGTH + 1), curve, marker="o", markersize=4, color=ACCENT)
    axes.set(title="CMC", xlabel="rank", ylabel="probes with a hit within it")
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.grid(alpha=0.3)
    return figure


def _ap(evaluation: Evaluation) -> "Figure":
    figure, axes = _figure()
    values = evaluation.per_probe.ap[evaluation.per_probe.counted]
    axes.hist(values, bins=np.linspace(0, 1, 41), color=ACCENT)
    axes.axvline(values.mean(), color=DIFFERENT, label=f"mAP {values.mean():.2%}")
    axes.set(title="Average precision", xlabel="AP", ylabel="probes")
    axes.legend(frameon=False)
    return figure


def _camera_pairs(evaluation: Evaluation) -> "Figure":
    pairs = evaluation.camera_pairs
    cameras = sorted({camera for pair in pairs for camera in pair})
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
    figure.colorbar(shown, format="{x:.0%}", shrink=0.8)
    return figure


def _scores(found: ScoreDistribution) -> "Figure":
    figure, axes = _figure(width=8.0)
    centres = (LOWEST + WIDTH * (np.arange(BINS) + 0.5)).reshape(-1, 10).mean(axis=1)
    for counts, color, name in (
        (found.different, DIFFERENT, "different people"),
        (found.same, SAME, "same person"),
    ):
        tens = counts.reshape(-1, 10).sum(axis=1)
        axes.fill_between(centres, tens / tens.sum() / (10 * WIDTH), color=color, alpha=0.45)
        axes.plot([], [], color=color, label=name)
    for rate in RATES:
        threshold = found.threshold(rate)
        if threshold is not None:
            axes.axvline(threshold, color="#59636e", linewidth=0.8, linestyle="--")
            top = axes.get_ylim()[1]
            axes.text(threshold, top, f" 1 in {1 / rate:,.0f}", size=7, rotation=90, va="top")
    used = np.flatnonzero(found.same + found.different)
    axes.set_xlim(LOWEST + WIDTH * used[0], LOWEST + WIDTH * used[-1])
    axes.set(title="Scores of pairs from two cameras", xlabel="score", ylabel="density")
    axes.legend(frameon=False, loc="upper left")
    return figure


def _table(columns: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _page(
    evaluation: Evaluation,
    found: ScoreDistribution,
    drawn: dict[str, str],
    sheets: dict[str, str],
    title: str,
) -> str:
    numbers = [[name, f"{value:.2%}"] for name, value in evaluation.numbers()]
    thresholds = []
    for rate in RATES:
        threshold = found.threshold(rate)
        if threshold is not None:
            hit_rate = found.match_rate(threshold)
            share = "" if hit_rate is None else f"{hit_rate:.1%}"
            thresholds.append([f"1 in {1 / rate:,.0f}", f"{threshold:.3f}", share])
    svg = {name: text[text.index("<svg") :] for name, text in drawn.items()}
    pictures = "".join(
        f'<h2>{html.escape(name)}</h2><img alt="{html.escape(name)}" src="{data}">'
        for name, data in sheets.items()
    )
    summary = f"{evaluation.queries:,} queries, {evaluation.gallery:,} gallery images"
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{html.escape(evaluation.encoder)}: evaluation</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; color: {sheet.INK}; margin: 32px auto;
  max-width: 1240px; padding: 0 20px; }}
h1 {{ font-size: 22px; margin-bottom: 0; }} h2 {{ font-size: 16px; margin-top: 32px; }}
p {{ color: {sheet.QUIET}; max-width: 80ch; }}
.row {{ display: flex; flex-wrap: wrap; gap: 32px; align-items: center; }}
table {{ border-collapse: collapse; }} td, th {{ padding: 4px 14px 4px 0; text-align: right;
  border-bottom: 1px solid #d1d9e0; font-variant-numeric: tabular-nums; }}
td:first-child, th:first-child {{ text-align: left; }}
svg, img {{ max-width: 100%; height: auto; }}
</style>
<h1>{html.escape(evaluation.encoder)}</h1>
<p>{summary}; {html.escape(title)}. Market-1501 protocol, reidsearch {__version__}.</p>
<div class="row">{_table(["", title], numbers)}{svg["cmc"]}{svg["ap"]}</div>
<h2>Which score means the same person?</h2>
<p>Of all pairs of a probe and a gallery image from another camera that show different people, one
in so many reaches the score; of those that show the same person, that share does.</p>
<div class="row">{_table(["false matches", "score", "same person found"], thresholds)}
{svg["scores"]}</div>
<h2>From camera to camera</h2>
<p>mAP of one camera's probes where the gallery is one other camera alone.</p>
{svg["camera-pairs"]}
{pictures}
<p>Green frames show the probe's identity, red ones another, grey ones somebody unknown. The
numbers below are rank and cosine.</p>
</html>
"""
