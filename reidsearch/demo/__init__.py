"""The whole product on a drawn data set, from ingest to report."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from reidsearch.config import Config
from reidsearch.demo import pedestrians, steps
from reidsearch.demo.steps import Show, Steps
from reidsearch.documents.demos import DemoDocument, demo_document
from reidsearch.errors import UsageError
from reidsearch.evaluation.protocol import Evaluation
from reidsearch.gallery import Gallery
from reidsearch.ingest.summary import IngestSummary
from reidsearch.ranking.calibration import Calibration, Source
from reidsearch.search.answer import Answer
from reidsearch.search.trace import Trace
from reidsearch.views import calibration, plots, report, sheet

PEOPLE = 40  # to search for, and as many others to train on
CAMERAS = 4
PROBES = 6
TOP_K = 8


@dataclass(frozen=True)
class Demo:
    """What the demo made. ``evaluation`` is by cosine, ``best`` by all that ``learned`` tells;
    ``report`` is None where matplotlib is missing. ``gallery`` is the data dir."""

    folder: Path
    summary: IngestSummary
    answers: list[Answer]
    evaluation: Evaluation
    learned: Calibration
    best: Evaluation
    trace: Trace
    sheet: Path
    lanes: Path
    report: Path | None
    gallery: Path

    @property
    def pages(self) -> list[Path]:
        """What there is to look at."""
        found = [self.sheet, self.lanes]
        if self.report is not None:
            found += [self.report / report.PAGE, self.report / calibration.PAGE]
        return found

    def document(self) -> DemoDocument:
        """As a JSON document."""
        return demo_document(self)


def run(
    out: Path,
    *,
    settings: Config,
    show: Show,
    on_progress: Callable[[IngestSummary], None],
) -> Demo:
    """Draw the data set to ``out``/data and keep its gallery in ``out``/gallery; ``show`` is given
    each step when it is done.

    Whatever gallery the settings name is left alone. Raises UsageError where ``out`` holds other
    things than an earlier demo.
    """
    data, home = out / "data", out / "gallery"
    if out.exists() and any(out.iterdir()) and not data.is_dir():
        raise UsageError(f"{out} exists and is no demo", hint="Name a new folder with {out}.")
    settings = replace(settings, data_dir=home, qdrant_url=None, catalog_url=None)
    told = Steps(show)

    drawn = pedestrians.draw_dataset(data, identities=PEOPLE, training=PEOPLE, cameras=CAMERAS)
    told.done("draw", f"{drawn:,} crops of {2 * PEOPLE} people at {CAMERAS} cameras, none real")
    with Gallery(settings, purpose="demo") as gallery:
        summary = gallery.ingest(data, name="demo", on_progress=on_progress)
        told.done("ingest", *steps.ingested(summary))

        probes = sorted((data / "query").iterdir())[:: PEOPLE // PROBES][:PROBES]
        answers = [
            gallery.query(probe, exclude_camera=True, top_k=TOP_K, plain=True) for probe in probes
        ]
        pictures = out / "sheet.png"
        sheet.save(answers, pictures)
        told.done("query", *steps.asked(answers[0]))
        evaluation = gallery.evaluate()
        told.done("evaluate", *steps.measured(evaluation))

        learned = gallery.calibrate(source=Source.MATCHES)
        carrying = sum(one.images for one in gallery.status().expanded)
        told.done("calibrate", *steps.learned(learned, carrying))
        drawable = plots.available()
        expanded = gallery.evaluate(expand=True)
        best = gallery.evaluate(
            expand=True, spatio_temporal=True, camera_pairs=drawable, details=drawable
        )
        told.done("evaluate", steps.numbers(expanded), steps.numbers(best))

        trace = gallery.trace(probes[0])
        lanes = out / "trace.html"
        trace.save(lanes)
        told.done("trace", *steps.traced(trace))
        searches = len(gallery.audit())
    told.done("audit", f"{searches} searches are logged: who asked, when, for which picture")
    folder = out / "report" if drawable else None
    if folder is not None:
        report.write([best], folder)
        calibration.write(learned, folder)
        told.done("report", "curves, scores and the hardest probes, as pages")
    else:
        told.done("report", "left out: it takes pip install 'reidsearch[report]'")

    return Demo(
        folder=out,
        summary=summary,
        answers=answers,
        evaluation=evaluation,
        learned=learned,
        best=best,
        trace=trace,
        sheet=pictures,
        lanes=lanes,
        report=folder,
        gallery=home,
    )
