"""``python -m train --data DIR --recipe NAME --out DIR``: train, measure, export."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from reidsearch.encoder import Encoder
from reidsearch.errors import ReidsearchError
from reidsearch.metrics import Scores
from reidsearch.types import Split
from train import data, evaluation, export, loop, quantise, recipe

ENCODER, INT8, CARD = "encoder.onnx", "encoder-int8.onnx", "encoder.md"
PARITY_CROPS = 64

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    data_dir: Annotated[Path, typer.Option("--data", help="A Market-1501 root.")],
    out: Annotated[Path, typer.Option(help="Where checkpoint, log and encoder go.")],
    recipe_name: Annotated[
        str, typer.Option("--recipe", help="A name in train/recipes, or a .toml file.")
    ] = "cpu",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    hold_out: Annotated[
        int, typer.Option(help="Validate on this many training identities, not on the test set.")
    ] = 0,
    name: Annotated[str, typer.Option(help="The encoder's name; osnet-RECIPE by default.")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda; by default cuda where present.")] = "",
) -> None:
    """Train an encoder, export it to OUT/encoder.onnx and encoder-int8.onnx, and measure both.

    A run that was stopped goes on where its last checkpoint left it: give the same command again.
    """
    changes = {"epochs": epochs, "seed": seed}
    plan = recipe.load(recipe_name, **{k: v for k, v in changes.items() if v is not None})
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    size = {"height": plan.height, "width": plan.width}

    crops = data.people(data.load(data_dir, Split.TRAIN, **size))
    if hold_out:
        crops, probes, gallery = data.hold_out(crops, hold_out, seed=plan.seed)
    else:
        probes = data.load(data_dir, Split.QUERY, **size)
        gallery = data.load(data_dir, Split.GALLERY, **size)
    _say(f"recipe {plan.name}: {len(crops)} images to train on, {len(probes)} probes, {target}")

    checkpoint = out / loop.CHECKPOINT
    if checkpoint.exists():
        run = loop.resume(checkpoint, crops, recipe=plan, device=target)
        _say(f"going on at step {run.step}")
    else:
        run = loop.start(plan, crops, device=target)
    for record in loop.train(run, crops, out=out):
        _say("  ".join(f"{key} {value}" for key, value in record.items()))

    trained_on = f"{len(crops)} images of {len(run.identities)} people from {crops.root.name}"
    measured_on = f"{hold_out} held-out training identities" if hold_out else "the test split"
    name = name or f"osnet-{plan.name}"
    export.export(run.network, out / ENCODER, name=name, recipe=plan, trained_on=trained_on)
    encoder = Encoder(out / ENCODER)
    some = probes.subset(np.arange(len(probes)) < PARITY_CROPS)
    parity = export.check_parity(run.network, encoder, some)
    _say(f"{encoder.path}: smallest cosine to PyTorch {parity:.6f}")
    quantise.quantise(encoder, out / INT8, crops=crops, seed=plan.seed)

    scores = {}
    for exported in (encoder, Encoder(out / INT8)):
        result = evaluation.evaluate(evaluation.by_encoder(exported), probes, gallery)
        _say(f"{exported.path} on {measured_on}: {describe(result)}")
        scores[exported] = result
    export.write_card(
        out / CARD,
        scores=scores,
        recipe=plan,
        trained_on=trained_on,
        measured_on=measured_on,
        command=f"python -m train --data DIR --recipe {recipe_name} --out OUT --name {name}",
        parity=parity,
    )


def describe(scores: Scores) -> str:
    """The numbers in one line, in percent."""
    return (
        f"R1 {scores.cmc[1]:.2%}  mAP {scores.mAP:.2%}  mINP {scores.mINP:.2%}"
        f"  over {scores.queries} probes"
    )


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    try:
        app()
    except ReidsearchError as error:
        _say(f"Error: {error.message}" + (f"\nTry: {error.hint}" if error.hint else ""))
        raise SystemExit(error.exit_code) from None
