"""The command line: parse, call, print. Modules that take time to import are imported in the
commands that need them, so that ``--help`` and errors come at once."""

import math
import os
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from reidsearch import __version__, config, output, upkeep
from reidsearch.errors import ImageError, NotCalibrated, ReidsearchError, UsageError
from reidsearch.types import Answer, Split, parse_cameras
from reidsearch.upkeep import Json

if TYPE_CHECKING:
    from reidsearch.catalog import Catalog
    from reidsearch.evaluate import Evaluation

REJECTED, INTERRUPTED = 3, 130  # exit codes beside those of errors.py
GLOBAL_FLAGS = ("--quiet", "--debug")
GLOBAL_OPTIONS = ("--data-dir", "--qdrant-url", "--encoder", "--device")


class Commands(TyperGroup):
    """Global options may stand after the command too, a file may begin with a dash, and every
    error ends in one clear line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first, rest, left = [], [], list(args)
        while left:
            word = left.pop(0)
            if word == "--":
                rest += [word, *left]
                break
            if word in GLOBAL_OPTIONS:
                first += [word, *left[:1]]
                del left[:1]
            elif word in GLOBAL_FLAGS or word.split("=")[0] in GLOBAL_OPTIONS:
                first.append(word)
            elif word.startswith("-") and Path(word).is_file():  # Market-1501's junk: -1_c1s1...
                rest.append(f".{os.sep}{word}")
            else:
                rest.append(word)
        return super().parse_args(ctx, first + rest)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            output.say("Interrupted. What was stored stays; run the same command again to go on.")
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "show"):  # a usage error, which Typer shows itself
                raise
            failure = _explained(error)
            output.complain(failure)
            if ctx.params.get("debug"):
                traceback.print_exc()
            raise typer.Exit(failure.exit_code) from None


def _explained(error: Exception) -> ReidsearchError:
    if isinstance(error, ReidsearchError):
        return error
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        return ReidsearchError(f"{what}{error.strerror or error}")
    return ReidsearchError(
        f"unexpected {type(error).__name__}: {error}",
        hint="This is a defect in reidsearch; --debug shows where. Nothing stored is lost.",
    )


app = typer.Typer(
    cls=Commands,
    help="Find the same person across cameras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"reidsearch {__version__}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    data_dir: Annotated[
        str | None,
        typer.Option(help="Where catalog and vectors are kept. Environment: REIDSEARCH_DATA_DIR."),
    ] = None,
    qdrant_url: Annotated[
        str | None,
        typer.Option(
            help="A Qdrant server; without it, vectors are kept in the data dir. "
            "Environment: REIDSEARCH_QDRANT_URL."
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="An ONNX encoder. Environment: REIDSEARCH_ENCODER.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, openvino or coreml. Environment: REIDSEARCH_DEVICE."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    ctx.meta["quiet"] = quiet
    flags = {"data_dir": data_dir, "qdrant_url": qdrant_url, "encoder": encoder, "device": device}
    ctx.obj = config.load(flags)


@app.command()
def ingest(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(help="A Market-1501 folder, a folder of crops, or a CSV manifest.")
    ],
    split: Annotated[
        list[Split] | None,
        typer.Option(help="Parts to take in; repeatable. By default query and gallery."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The data set's name, by default its folder's.")
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove stored images that the data set no longer has."),
    ] = False,
    json: Json = False,
) -> None:
    """Encode a data set's crops and store them. Running it again changes nothing."""
    from reidsearch import calibrate, datasets, forget, gallery, show
    from reidsearch.encoder import Encoder
    from reidsearch.ingest import ingest as run

    dataset = datasets.read(path, splits=split or datasets.DEFAULT_SPLITS, name=name)
    encoder = Encoder(ctx.obj.encoder, device=ctx.obj.device)
    with (
        gallery.create(ctx.obj, encoder) as opened,
        output.ingest_progress(quiet=ctx.meta["quiet"]) as progress,
    ):
        report = run(
            dataset,
            gallery=opened,
            encoder=encoder,
            oldest=ctx.obj.oldest,
            on_progress=progress,
        )
        learned = calibrate.keep_current(opened) if report.ingested else None
        gone = forget.expired(opened.catalog, ctx.obj.oldest)
        if prune:
            gone += forget.of_dataset(opened.catalog, dataset.name, report.vanished)
        owed = opened.catalog.compaction_owed
    if gone or owed:
        report.pruned = forget.forget(ctx.obj, gone, purpose="ingest").images
        report.vanished = [] if prune else report.vanished
    if learned:
        output.say(f"The gallery has changed; calibrated anew from {learned.images} images.")
    if json:
        output.print_json(show.report_document(report))
    else:
        show.print_report(report)
    if report.failures:
        raise typer.Exit(REJECTED)


@app.command()
def query(
    ctx: typer.Context,
    probes: Annotated[list[Path], typer.Argument(metavar="IMG...", help="Pictures to search for.")],
    exclude_camera: Annotated[
        bool, typer.Option("--exclude-camera", help="Leave out the probe's own camera.")
    ] = False,
    camera: Annotated[
        int | None, typer.Option(min=0, help="The probe's camera, where its name does not tell.")
    ] = None,
    only_camera: Annotated[
        str | None, typer.Option(metavar="N,N", help="Search these cameras alone.")
    ] = None,
    split: Annotated[Split, typer.Option(help="The part to search.")] = Split.GALLERY,
    top_k: Annotated[int, typer.Option(min=1, max=10_000, help="Hits for each probe.")] = 10,
    min_score: Annotated[
        float, typer.Option(help="Leave out hits with a smaller score.", show_default=False)
    ] = -math.inf,
    spatio_temporal: Annotated[
        bool,
        typer.Option(
            "--spatio-temporal", help="Add what `calibrate` learned of the times between cameras."
        ),
    ] = False,
    rerank: Annotated[
        bool,
        typer.Option(
            "--rerank", help="Re-rank by k-reciprocal neighbours; scores are 1 - distance."
        ),
    ] = False,
    time: Annotated[
        str, typer.Option(help="When the probe was taken: ISO 8601, or seconds since 1970.")
    ] = "",
    save: Annotated[
        Path | None, typer.Option(help="Also write a contact sheet, .png or .html.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line and probe.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="One CSV row for each hit.")] = False,
) -> None:
    """Find the stored images that show the person in IMG."""
    from reidsearch import audit, calibrate, datasets, gallery, neighbours, search, sheet, show
    from reidsearch.encoder import Encoder

    try:
        timestamp = datasets.parse_timestamp(time)
    except ValueError as error:
        raise UsageError(f"--time: {error}") from None
    if json and csv:
        raise UsageError("--json and --csv exclude each other", hint="Choose one.")
    if save is not None:
        sheet.check(save)
    cameras = parse_cameras(only_camera) if only_camera else ()
    answers: list[Answer] = []
    failed = 0
    with gallery.open_existing(ctx.obj, purpose="query") as opened:
        search.check_cameras(cameras, gallery=opened)
        calibration = calibrate.load(opened) if spatio_temporal else None
        kept = neighbours.current(opened, split) if rerank else None
        if kept and kept.computed:
            output.say(f"Found the neighbours of {kept.computed} images, and kept them.")
        encoder = Encoder(ctx.obj.encoder, device=ctx.obj.device)
        for probe in probes:
            try:
                answer = search.answer(
                    probe,
                    gallery=opened,
                    encoder=encoder,
                    camera=camera,
                    exclude_camera=exclude_camera,
                    only_cameras=cameras,
                    split=split,
                    top_k=top_k,
                    min_score=min_score,
                    calibration=calibration,
                    timestamp=timestamp,
                    kept=kept,
                )
            except ImageError as error:
                if len(probes) == 1:
                    raise
                output.complain(error)
                failed += 1
                continue
            audit.record(
                opened.catalog,
                ctx.obj,
                command="query",
                probe=probe,
                filters={
                    "camera": answer.camera,
                    "exclude_camera": exclude_camera,
                    "only_camera": list(cameras),
                    "split": str(split),
                    "top_k": top_k,
                    "min_score": None if min_score == -math.inf else min_score,
                    "spatio_temporal": spatio_temporal,
                    "rerank": rerank,
                },
                hits=len(answer.hits),
            )
            answers.append(answer)
            if json:
                output.print_json(asdict(answer))
    if csv:
        show.print_hits_csv(answers)
    elif not json:
        for answer in answers:
            show.print_answer(answer)
    if save is not None:
        sheet.save(answers, save)
        output.say(f"Contact sheet: {save}")
    if failed:
        raise typer.Exit(REJECTED)


@app.command()
def evaluate(
    ctx: typer.Context,
    multi_query: Annotated[
        bool,
        typer.Option(
            "--multi-query",
            help="Pool each probe's multi-query images (ingest --split multi-query).",
        ),
    ] = False,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Re-rank by k-reciprocal neighbours.")
    ] = False,
    camera_pairs: Annotated[
        bool, typer.Option("--camera-pairs", help="Also tell mAP from each camera to each other.")
    ] = False,
    spatio_temporal: Annotated[
        bool,
        typer.Option(
            "--spatio-temporal", help="Add what `calibrate` learned of the times between cameras."
        ),
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="ENCODER", help="Also evaluate this encoder's vectors, and compare the two."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write a page with plots and contact sheets to this folder."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run the Market-1501 protocol over the stored queries and gallery."""
    from reidsearch import compare as comparing
    from reidsearch import gallery, show
    from reidsearch import report as reports
    from reidsearch.evaluate import evaluate as run

    if report is not None:
        reports.check()

    def evaluated(settings: config.Config) -> "Evaluation":
        with gallery.open_existing(settings, purpose="evaluate") as opened:
            result = run(
                opened,
                multi_query=multi_query,
                rerank=rerank,
                camera_pairs=camera_pairs or report is not None,
                spatio_temporal=spatio_temporal,
            )
            if report is not None and settings is ctx.obj:
                page = reports.write(result, opened, report, title=show.variant(result))
                output.say(f"Report: {page}")
        return result

    evaluation = evaluated(ctx.obj)
    if compare is not None:
        other = evaluated(replace(ctx.obj, encoder=compare))
        comparison = comparing.compare(evaluation, other)
        if json:
            output.print_json(show.comparison_document(comparison))
        else:
            show.print_comparison(comparison)
    elif json:
        output.print_json(show.evaluation_document(evaluation))
    else:
        show.print_evaluation(evaluation)


@app.command()
def calibrate(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            help="train or gallery: from that split's identities; matches: without identities, "
            "from the gallery's own matches across cameras. By default train where it is stored.",
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Learn the times that people take from camera to camera, and what scores say."""
    from reidsearch import gallery, show
    from reidsearch.calibrate import Source
    from reidsearch.calibrate import calibrate as run

    if source and source not in list(Source):
        raise UsageError(f"--source {source} is none of {', '.join(Source)}")
    with gallery.open_existing(ctx.obj, purpose="calibrate") as opened:
        learned = run(opened, source=Source(source) if source else None)
    if json:
        output.print_json(show.calibration_document(learned))
    else:
        show.print_calibration(learned)


@app.command()
def trace(
    ctx: typer.Context,
    probe: Annotated[Path, typer.Argument(metavar="IMG", help="A picture of the person.")],
    false_matches: Annotated[
        float | None,
        typer.Option(
            min=1e-6,
            max=0.5,
            help="Take scores that at most this share of the pairs of different people reach; by "
            "default 0.0001, or more where the gallery is small.",
        ),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Take scores from here on, without a calibration.")
    ] = None,
    camera: Annotated[
        int | None, typer.Option(min=0, help="The probe's camera, where its name does not tell.")
    ] = None,
    time: Annotated[
        str, typer.Option(help="When the probe was taken: ISO 8601, or seconds since 1970.")
    ] = "",
    save: Annotated[
        Path | None, typer.Option(help="Also draw it, a lane for each camera; .png.")
    ] = None,
    json: Json = False,
) -> None:
    """Where was this person? Stays at cameras, in time order."""
    from reidsearch import audit, calibrate, datasets, gallery, show
    from reidsearch import trace as tracing
    from reidsearch.encoder import Encoder

    try:
        timestamp = datasets.parse_timestamp(time)
    except ValueError as error:
        raise UsageError(f"--time: {error}") from None
    if save is not None:
        tracing.check(save)
    with gallery.open_existing(ctx.obj, purpose="trace") as opened:
        try:
            calibration = calibrate.load(opened)
        except NotCalibrated:
            calibration = None
        found = tracing.trace(
            probe,
            gallery=opened,
            encoder=Encoder(ctx.obj.encoder, device=ctx.obj.device),
            calibration=calibration,
            rate=false_matches,
            min_score=min_score,
            camera=camera,
            timestamp=timestamp,
        )
        audit.record(
            opened.catalog,
            ctx.obj,
            command="trace",
            probe=probe,
            filters={"camera": found.camera, "threshold": found.threshold, "rate": found.rate},
            hits=sum(len(stay.hits) for stay in found.stays),
        )
    if json:
        output.print_json(asdict(found))
    else:
        show.print_trace(found)
    if save is not None:
        tracing.draw(found, save)
        output.say(f"Picture: {save}")


@app.command()
def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The file to write.")],
    json: Json = False,
) -> None:
    """Write vectors, identities, cameras and paths to one NumPy file."""
    from reidsearch import gallery
    from reidsearch.export import export as run

    if out.suffix != ".npz":
        raise UsageError(f"{out} does not end in .npz", hint="Name it like gallery.npz.")
    with gallery.open_existing(ctx.obj, purpose="export") as opened:
        counts = run(opened, out)
    if json:
        output.print_json(counts)
    else:
        output.print_table(list(counts.items()), columns=("", "vectors"))


@app.command()
def status(ctx: typer.Context, json: Json = False) -> None:
    """Show what is stored, and which settings are in force."""
    from reidsearch import gallery

    catalog = gallery.open_catalog(ctx.obj)
    try:
        document = _status(ctx.obj, catalog)
    finally:
        catalog.close()
    if json:
        output.print_json(document)
        return
    settings = [(key, *entry.values()) for key, entry in document["settings"].items()]
    output.print_table(settings, columns=("setting", "value", "from"))
    if not document["images"]:
        output.say("Nothing is stored yet. Fill the gallery with: reidsearch ingest FOLDER")
        return
    rows = [tuple(row.values()) for row in document["images"]]
    output.print_table(rows, columns=tuple(document["images"][0]))
    run = document["last_ingest"]
    if run and not run["finished"]:
        output.say("The last ingest was cut short; run it again to go on.")


def _status(settings: config.Config, catalog: "Catalog") -> dict[str, Any]:
    names = {row.fingerprint: row.name for row in catalog.encoders()}
    run = catalog.last_run()
    return {
        "version": __version__,
        "settings": {
            key: {
                "value": None if (value := getattr(settings, key)) is None else str(value),
                "from": settings.sources[key],
            }
            for key in config.KEYS
        },
        "cameras": catalog.cameras(),
        "images": [
            {**row._asdict(), "encoder": f"{names[row.encoder]} ({row.encoder[:8]})"}
            for row in catalog.counts()
        ],
        "last_ingest": run._asdict() if run else None,
    }


for command in (upkeep.doctor, upkeep.forget, upkeep.audit):
    app.command()(command)


@app.command()
def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder to make.")] = Path("reidsearch-demo"),
    json: Json = False,
) -> None:
    """Draw a small data set, then ingest, query and evaluate it. Nothing is downloaded."""
    from reidsearch import demo as script
    from reidsearch import show

    with output.ingest_progress(quiet=ctx.meta["quiet"]) as progress:
        result = script.run(out, settings=ctx.obj, say=output.say, on_progress=progress)
    if json:
        output.print_json(
            {
                "folder": str(out),
                "sheet": str(result.sheet),
                "ingest": show.report_document(result.report),
                "evaluation": show.evaluation_document(result.evaluation),
            }
        )
        return
    for answer in result.answers[:1]:
        show.print_answer(answer)
    show.print_evaluation(result.evaluation)
    output.say(f"\nLook at {result.sheet}, then try:")
    for command in result.commands:
        output.say(f"  {command}")
