"""``python -m train --data DIR --recipe NAME --out DIR``: train or adapt, measure, export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import ReidsearchError
from reidsearch.ranking.metrics import Scores
from reidsearch.types import Split, Vectors
from train import adapt, data, evaluation, export, loop, quantise, recipe, run, thresholds
from train.groups import Seen

ENCODER, INT8, CARD, WEIGHTS = (
    "encoder.onnx", "encoder-int8.onnx", "encoder.md", "weights.safetensors",
)  # fmt: skip
PARITY_CROPS = 64

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data_dir: Annotated[
        Path, typer.Option("--data", help="A Market-1501 root, a folder of crops or a CSV.")
    ],
    out: Annotated[Path, typer.Option(help="Where checkpoint, log and encoder go.")],
    recipe_name: Annotated[
        str, typer.Option("--recipe", help="A name in train/recipes, or a .toml file.")
    ] = "cpu",
    init: Annotated[
        str, typer.Option(help="Start from this run's weights; 'default': the shipped encoder's.")
    ] = "",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    hold_out: Annotated[
        int | None,
        typer.Option(
            help="Measure on this many training identities, kept out of training. By default "
            "none where there is a test split or no label is used, otherwise a tenth."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The encoder's name; osnet-RECIPE by default.")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda; by default cuda where present.")] = "",
) -> None:
    """Train an encoder, export it to OUT/encoder.onnx and encoder-int8.onnx, and measure both.

    Recipe adapt needs no labels: it groups the crops into people by itself, starting from the
    shipped encoder unless --init says otherwise, and keeps that where the groups are no good.

    A run that was stopped goes on where its last checkpoint left it: give the same command again.
    """
    changes = {"epochs": epochs, "seed": seed}
    plan = recipe.load(recipe_name, **{k: v for k, v in changes.items() if v is not None})
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    unlabelled = isinstance(plan, recipe.Adaptation)
    how = adapt.training_recipe(plan) if isinstance(plan, recipe.Adaptation) else plan
    size = {"height": how.height, "width": how.width}

    splits = data.splits(data_dir)
    crops = data.load(data_dir, splits.training, **size)
    if not unlabelled:
        said, crops = data.left_out(crops), data.people(crops)
        if said:
            _say(said)
    probes: data.Crops | None = None
    gallery: data.Crops | None = None
    if hold_out is None:
        hold_out = 0 if splits.test or unlabelled else data.tenth(crops)
    if hold_out:
        crops, probes, gallery = data.hold_out(crops, hold_out, seed=plan.seed)
    elif splits.test:
        probes = data.load(data_dir, Split.QUERY, **size)
        gallery = data.load(data_dir, Split.GALLERY, **size)
    _say(f"recipe {plan.name}: {len(crops)} images to train on, on {target}")

    weights = run.DEFAULT_WEIGHTS if init == "default" else Path(init) if init else None
    terms = run.MARKET_TERMS if splits.market else run.OWN_TERMS
    if isinstance(plan, recipe.Adaptation):
        weights = weights or run.DEFAULT_WEIGHTS
        if probes is not None and gallery is not None:
            embed = evaluation.by_network(run.trained(weights)[0].to(target))
            _say_measured("before", probes, embed(probes), gallery, embed(gallery))
        clock, times = data.times(data_dir, splits.training)
        seen = Seen(crops.labels.camera, np.array([times[path] for path in crops.paths]), clock)
        training = adapt.adapt(
            plan, crops, seen, weights=weights, terms=terms, out=out, device=target, log=_say_record
        )
        trained_on = (
            f"{len(crops)} images from {crops.root.name} without their labels, grouped into "
            f"{len(training.identities)} people by recipe {plan.name}, starting from "
            f"{training.initial}"
        )
    else:
        training = _trained(plan, crops, weights, terms, out=out, device=target)
        trained_on = (
            f"{len(crops)} images of {len(training.identities)} people from {crops.root.name}, "
            f"starting from {training.initial}"
        )

    run.save_weights(training, out / WEIGHTS)
    name = name or f"osnet-{plan.name}"
    export.export(training, out / ENCODER, name=name, trained_on=trained_on)
    encoder = Encoder(out / ENCODER)
    some = crops.subset(np.arange(len(crops)) < PARITY_CROPS)
    parity = export.check_parity(training.result, encoder, some)
    _say(f"{encoder.path}: smallest cosine to PyTorch {parity:.6f}")
    quantise.quantise(encoder, out / INT8, crops=crops, seed=plan.seed)

    files = (out / ENCODER, out / INT8)
    measured: list[Scores] = []
    measured_on = f"{hold_out} held-out training identities" if hold_out else "the test split"
    if probes is None or gallery is None:
        measured_on = "nothing"
        _say("no test split and nobody held out: the encoders were not measured")
    else:
        for path in files:
            p, g = map(evaluation.by_encoder(Encoder(path)), (probes, gallery))
            measured.append(evaluation.score(probes, p, gallery, g))
            _say(f"{path} on {measured_on}: {describe(measured[-1])}")
            if unlabelled:
                _say_measured("after", probes, p, gallery, g)
            if not hold_out:
                tested = f"{gallery.root.name}, test split"
                export.add_accuracy(path, data=tested, scores=measured[-1])
            else:
                everyone = evaluation.together(probes.labels, gallery.labels)
                pairs = thresholds.among(np.concatenate([p, g]), everyone)
                by_rate, strangers = thresholds.measure(pairs)
                export.add_measured(path, people=hold_out, scores=measured[-1], by_rate=by_rate)
                _say(
                    f"{path} brings these numbers, and thresholds for {len(by_rate)} false match "
                    f"rates, from {strangers:,} pairs of different people"
                )
    if not hold_out:
        _say(
            "nobody was held out: the encoders bring no thresholds, so that trace needs a "
            "calibrated gallery; --hold-out N measures some"
        )
    encoders = [Encoder(path) for path in files]
    given = {"epochs": epochs, "seed": seed, "hold-out": hold_out or None}
    command = f"python -m train --data DIR --recipe {plan.name} --out OUT --name {name}"
    command += "".join(f" --{key} {value}" for key, value in given.items() if value is not None)
    if init:
        command += " --init " + ("default" if init == "default" else "WEIGHTS")
    export.write_card(
        out / CARD,
        encoders=encoders,
        scores=dict(zip(encoders, measured, strict=False)),
        run=training,
        trained_on=trained_on,
        measured_on=measured_on,
        command=command,
        parity=parity,
    )


def _trained(
    plan: recipe.Recipe,
    crops: data.Crops,
    weights: Path | None,
    terms: str,
    *,
    out: Path,
    device: torch.device,
) -> run.Run:
    """Begin a run, or go on with the one in ``out``, to its end."""
    checkpoint = out / loop.CHECKPOINT
    if checkpoint.exists():
        training = run.resume(checkpoint, crops, recipe=plan, device=device)
        _say(f"going on at step {training.step}")
    else:
        training = run.start(plan, crops, device=device, weights=weights, terms=terms)
    for record in loop.train(training, crops, out=out):
        _say_record(record)
    return training


def describe(scores: Scores) -> str:
    """The numbers in one line, in percent."""
    return (
        f"R1 {scores.cmc[1]:.2%}  mAP {scores.mAP:.2%}  mINP {scores.mINP:.2%}"
        f"  over {scores.queries} probes"
    )


def run_app() -> None:
    """Run the command; errors that say what to do end the process with their exit code."""
    try:
        app()
    except ReidsearchError as error:
        _say(f"Error: {error.message}" + (f"\nTry: {error.hint}" if error.hint else ""))
        raise SystemExit(error.exit_code) from None


def _say_measured(
    when: str, probes: data.Crops, p: Vectors, gallery: data.Crops, g: Vectors
) -> None:
    """Plain, and as a gallery searches: less what cameras add."""
    plain = evaluation.score(probes, p, gallery, g)
    out = evaluation.without_cameras(probes, p, gallery, g)
    _say(f"{when}: {describe(plain)}; camera means out: {describe(out)}")


def _say_record(record: Mapping[str, object]) -> None:
    _say("  ".join(f"{key} {value}" for key, value in record.items()))


def _say(line: str) -> None:
    typer.echo(line, err=True)
