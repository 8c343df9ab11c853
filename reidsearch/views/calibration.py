"""What a calibration says of scores, as one HTML page. Needs matplotlib ([report])."""

from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch import __version__
from reidsearch.ranking.calibration import SCORES
from reidsearch.ranking.scores import RATES, Above, Crowds
from reidsearch.views import pages, report

if TYPE_CHECKING:
    from reidsearch.ranking.calibration import Calibration

PAGE = "calibration.html"


def write(learned: "Calibration", folder: Path) -> Path:
    """Write calibration.html, which holds everything it shows, and its plots as SVG to ``folder``:
    for each ranking how often different people reach which score, and the thresholds.

    Returns the page's path. Raises UsageError where matplotlib is missing, OSError where the folder
    cannot be written.
    """
    report.require_plots()
    from matplotlib import rc_context

    found = learned.distributions
    with rc_context(report.STYLE):
        plots = report.as_svg(
            {
                kind: report.scores(one, f"Pairs from two cameras: {SCORES[kind]}")
                for kind, one in found.items()
            }
        )
    crowds = {kind: one.crowds for kind, one in found.items() if one.crowds is not None}
    text = pages.render(
        "calibration.html",
        version=__version__,
        facts=[item for item in learned.document().items() if not item[0].startswith("thresholds")],
        by_identity=learned.by_identity,
        by_times=learned.by_times,
        kinds={kind: SCORES[kind] for kind in found},
        thresholds=[
            (_words(rate), *(_number(one.threshold(rate)) for one in found.values()))
            for rate in RATES
        ],
        crowds={kind: SCORES[kind] for kind in crowds},
        above=[
            (_words(rate), *(_number(_above(one, rate)) for one in crowds.values()))
            for rate in RATES
        ],
        plots=report.in_page(plots),
    )
    return report.save(folder, PAGE, text, plots)


def _above(crowds: Crowds, rate: float) -> float | None:
    return Above(crowds.beyond, crowd=0.0).threshold(rate)


def _words(rate: float) -> str:
    return f"1 in {1 / rate:,.0f}"


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"
