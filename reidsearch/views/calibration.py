"""What a calibration says of scores, as one HTML page. Needs matplotlib ([report])."""

from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch import __version__
from reidsearch.ranking.calibration import SCORES
from reidsearch.ranking.scores import RATES, Above, Crowds
from reidsearch.views import pages, plots
from reidsearch.views.made import Made
from reidsearch.words import one_in

if TYPE_CHECKING:
    from reidsearch.ranking.calibration import Calibration

PAGE = "calibration.html"


def write(learned: "Calibration", folder: Path) -> Path:
    """Write calibration.html, which holds everything it shows, and its plots as SVG to ``folder``:
    for each ranking how often different people reach which score, and the thresholds.

    Returns the page's path. Raises UsageError where matplotlib is missing, OSError where the folder
    cannot be written.
    """
    plots.require()
    found = learned.distributions
    drawn = plots.of_scores(
        {kind: (one, f"{plots.PAIRS}: {SCORES[kind]}") for kind, one in found.items()}
    )
    crowds = {kind: one.crowds for kind, one in found.items() if one.crowds is not None}
    text = pages.render(
        "calibration.html",
        facts=[("with", f"reidsearch {__version__}"), *Made().facts(None)],
        learned=[
            (name, str(value))
            for name, value in learned.document().items()
            if not name.startswith("thresholds")
        ],
        by_identity=learned.by_identity,
        by_times=learned.by_times,
        kinds={kind: SCORES[kind] for kind in found},
        thresholds=[
            (one_in(rate), *(_number(one.threshold(rate)) for one in found.values()))
            for rate in RATES
        ],
        crowds={kind: SCORES[kind] for kind in crowds},
        above=[
            (one_in(rate), *(_number(_above(one, rate)) for one in crowds.values()))
            for rate in RATES
        ],
        plots={kind: plots.inline(svg) for kind, svg in drawn.items()},
    )
    return plots.save(folder, PAGE, text, drawn)


def _above(crowds: Crowds, rate: float) -> float | None:
    return Above(crowds.beyond, crowd=0.0).threshold(rate)


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"
