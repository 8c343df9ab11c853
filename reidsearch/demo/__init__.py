"""The whole product on a drawn data set: draw, ingest, query, evaluate."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from reidsearch import documents
from reidsearch.answer import Answer
from reidsearch.config import Config
from reidsearch.demo import pedestrians
from reidsearch.errors import UsageError
from reidsearch.evaluate import Evaluation
from reidsearch.gallery import Gallery
from reidsearch.ingest import IngestSummary
from reidsearch.views import sheet

PEOPLE = 40  # to search for, and as many others to train on
PROBES = 6
TOP_K = 8


@dataclass(frozen=True)
class Demo:
    """What the demo made. ``gallery`` is the data dir."""

    folder: Path
    summary: IngestSummary
    answers: list[Answer]
    evaluation: Evaluation
    sheet: Path
    gallery: Path

    def document(self) -> documents.DemoDocument:
        """As a JSON document."""
        return documents.demo(self)


def run(
    out: Path,
    *,
    settings: Config,
    say: Callable[[str], None],
    on_progress: Callable[[IngestSummary], None],
) -> Demo:
    """Draw the data set to ``out``/data and keep its gallery in ``out``/gallery.

    Whatever gallery the settings name is left alone. Raises UsageError where ``out`` holds other
    things than an earlier demo.
    """
    data, home = out / "data", out / "gallery"
    if out.exists() and any(out.iterdir()) and not data.is_dir():
        raise UsageError(f"{out} exists and is no demo", hint="Name a new folder with {out}.")
    settings = replace(settings, data_dir=home, qdrant_url=None)

    say(f"Drawing pedestrians into {data}")
    pedestrians.draw_dataset(data, identities=PEOPLE, training=PEOPLE)
    with Gallery(settings, purpose="demo") as gallery:
        say("Ingesting queries and gallery")
        summary = gallery.ingest(data, name="demo", on_progress=on_progress)
        probes = sorted((data / "query").iterdir())
        answers = [
            gallery.query(probe, exclude_camera=True, top_k=TOP_K)
            for probe in probes[:: len(probes) // PROBES][:PROBES]
        ]
        evaluation = gallery.evaluate()
    sheet.save(answers, out / "sheet.png")

    return Demo(
        folder=out,
        summary=summary,
        answers=answers,
        evaluation=evaluation,
        sheet=out / "sheet.png",
        gallery=home,
    )
