"""``python -m train --data DIR --recipe NAME --out DIR``: train, measure, export."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from reidsearch.errors import ReidsearchError
from reidsearch.metrics import Scores
from reidsearch.types import Split
from train import data, evaluation, loop, recipe

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
    device: Annotated[str, typer.Option(help="cpu or cuda; by default cuda where present.")] = "",
) -> None:
    """Train an encoder, measure it and export it to OUT/encoder.onnx.

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

    scores = evaluation.evaluate(run.network, probes, gallery)
    measured = ("validation: " if hold_out else "test: ") + describe(scores)
    _say(measured)
    export.export(
        run.network,
        out / ENCODER,
        name=f"osnet-market1501-{plan.name}",
        recipe=plan,
        trained_on=f"{len(crops)} images of {len(run.identities)} people from {crops.dataset}",
        result=measured,
    )
    encoder = Encoder(out / ENCODER)
    parity = export.check_parity(run.network, encoder, probes)
    _say(f"{encoder.path}: smallest cosine to PyTorch {parity:.6f}")
    export.write_card(
        encoder.path.with_suffix(".md"),
        encoder=encoder,
        recipe=plan,
        command=f"python -m train --data DIR --recipe {recipe_name} --out OUT",
        measured=scores,
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
