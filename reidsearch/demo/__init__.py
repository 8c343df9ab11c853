"""The whole product on a drawn data set: draw, ingest, query, evaluate."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from reidsearch import datasets, gallery, ingest, search
from reidsearch.config import Config
from reidsearch.demo import pedestrians
from reidsearch.encoder import Encoder
from reidsearch.errors import UsageError
from reidsearch.evaluate import Evaluation, evaluate
from reidsearch.types import Answer
from reidsearch.views import sheet

PROBES = 6
TOP_K = 8


@dataclass(frozen=True)
class Demo:
    """What the demo made, and what to try next."""

    report: ingest.Report
    answers: list[Answer]
    evaluation: Evaluation
    sheet: Path
    commands: list[str]


def run(
    out: Path,
    *,
    settings: Config,
    say: Callable[[str], None],
    on_progress: Callable[[ingest.Report], None],
) -> Demo:
    """Draw the data set to ``out``/data and keep its gallery in ``out``/gallery.

    Whatever gallery the settings name is left alone. Raises UsageError where ``out`` holds other
    things than an earlier demo.
    """
    data, home = out / "data", out / "gallery"
    if out.exists() and any(out.iterdir()) and not data.is_dir():
        raise UsageError(f"{out} exists and is no demo", hint="Name a new folder with --out.")
    settings = replace(settings, data_dir=home, qdrant_url=None)

    say(f"Drawing pedestrians into {data}")
    pedestrians.draw_dataset(data)
    dataset = datasets.read(data, name="demo")
    encoder = Encoder(settings.encoder, device=settings.device)
    with gallery.create(settings, encoder) as opened:
        say(f"Ingesting {len(dataset.sightings)} crops")
        report = ingest.ingest(dataset, gallery=opened, encoder=encoder, on_progress=on_progress)
        probes = sorted((data / "query").iterdir())
        answers = [
            search.answer(probe, gallery=opened, encoder=encoder, exclude_camera=True, top_k=TOP_K)
            for probe in probes[:: len(probes) // PROBES][:PROBES]
        ]
        evaluation = evaluate(opened)
    sheet.save(answers, out / "sheet.png")

    where = f"reidsearch --data-dir {shlex.quote(str(home))}"
    probe = shlex.quote(answers[1].query)
    return Demo(
        report=report,
        answers=answers,
        evaluation=evaluation,
        sheet=out / "sheet.png",
        commands=[
            f"{where} query {probe} --exclude-camera",
            f"{where} query {probe} --only-camera 2,3 --json",
            f"{where} evaluate",
            "reidsearch ingest YOUR_CROPS",
        ],
    )
