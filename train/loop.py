"""The training loop: reads top to bottom, and can be stopped and resumed at any step."""

import json
import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor

from reidsearch.errors import UsageError
from train.augment import augment
from train.data import Crops
from train.losses import batch_hard_triplet, identity_loss
from train.network import Siamese
from train.recipe import Recipe, from_dict
from train.sampler import epoch_batches

CHECKPOINT = "checkpoint.pt"
SAVE_EVERY_SECONDS = 120.0
LOG_EVERY_STEPS = 20


@dataclass
class Run:
    """A training run at some step. Its randomness is a function of the recipe's seed and the step,
    so the step is all the random state there is to save."""

    recipe: Recipe
    network: Siamese
    optimizer: torch.optim.Optimizer
    identities: list[int]  # class -> identity in the data set
    step: int = 0


def start(recipe: Recipe, crops: Crops, *, device: torch.device) -> Run:
    """A run from random initialisation on these crops."""
    torch.manual_seed(recipe.seed)
    identities = np.unique(crops.labels.identity).tolist()
    network = Siamese(identities=len(identities), width=recipe.network_width)
    return _run(recipe, network, identities, device)


def resume(path: Path, crops: Crops, *, recipe: Recipe, device: torch.device) -> Run:
    """The run in the checkpoint at ``path``, at the step where it was saved.

    Raises UsageError where the checkpoint belongs to other identities or another recipe.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    identities = np.unique(crops.labels.identity).tolist()
    if saved["identities"] != identities:
        raise UsageError(f"{path} was trained on other identities", hint="Choose another --out.")
    if from_dict(saved["recipe"]) != recipe:
        raise UsageError(f"{path} belongs to another recipe", hint="Choose another --out.")
    network = Siamese(identities=len(identities), width=recipe.network_width)
    network.load_state_dict(saved["network"])
    run = _run(recipe, network, identities, device)
    run.optimizer.load_state_dict(saved["optimizer"])
    run.step = saved["step"]
    return run


def save(run: Run, path: Path) -> None:
    """Write a checkpoint that describes itself; an interrupted write leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "format": 1,
            "recipe": run.recipe.as_dict(),
            "identities": run.identities,
            "step": run.step,
            "network": run.network.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "torch": str(torch.__version__),
        },
        partial,
    )
    partial.replace(path)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """One cycle (Smith, 2018) with cosine flanks; ``progress`` runs from 0 to 1."""
    low = recipe.learning_rate / 25
    if progress < recipe.warmup:
        rise = progress / recipe.warmup
        return low + (recipe.learning_rate - low) * (1 - math.cos(math.pi * rise)) / 2
    fall = (progress - recipe.warmup) / (1 - recipe.warmup)
    return recipe.learning_rate * (1 + math.cos(math.pi * fall)) / 2


def train(run: Run, crops: Crops, *, out: Path) -> Generator[dict[str, Any], None, None]:
    """Train to the recipe's end; yields a log record every LOG_EVERY_STEPS steps.

    The records also go to ``out``/log.jsonl, a checkpoint to ``out``/checkpoint.pt every two
    minutes and at the end.
    """
    recipe = run.recipe
    device = next(run.network.parameters()).device
    images = crops.images.to(device)
    classes = torch.from_numpy(np.searchsorted(run.identities, crops.labels.identity)).to(device)
    batches = _batches(recipe, crops)
    total = len(batches)

    forward = run.network.training_outputs
    if device.type == "cuda":  # on CPUs compiling takes two minutes and gains nothing
        forward = torch.compile(forward)
    run.network.train()
    saved = logged = time.monotonic()
    sums, steps = torch.zeros(3), 0  # since the last record
    with _open_log(out / "log.jsonl", run.step) as log:
        for rows in batches[run.step :]:
            for group in run.optimizer.param_groups:
                group["lr"] = learning_rate(recipe, run.step / total)
            picked = torch.tensor(rows, device=device)
            generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + run.step)
            batch = augment(images[picked], pad=recipe.pad, erase=recipe.erase, generator=generator)
            targets = classes[picked]

            with torch.autocast(device.type, dtype=torch.bfloat16):
                outputs = forward(batch)
            id_loss = identity_loss(outputs.logits, targets, smoothing=recipe.label_smoothing)
            triplet = batch_hard_triplet(outputs.features, targets, margin=recipe.triplet_margin)
            loss: Tensor = id_loss + recipe.triplet_weight * triplet
            run.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            run.optimizer.step()

            run.step += 1
            correct = (outputs.logits.argmax(1) == targets).float().mean()
            sums += torch.stack([id_loss, triplet, correct]).detach().cpu()
            steps += 1
            if run.step % LOG_EVERY_STEPS == 0 or run.step == total:
                now = time.monotonic()
                identity, metric, accuracy = (sums / steps).tolist()
                record = {
                    "step": run.step,
                    "of": total,
                    "identity_loss": round(identity, 4),
                    "triplet_loss": round(metric, 4),
                    "accuracy": round(accuracy, 4),
                    "learning_rate": round(run.optimizer.param_groups[0]["lr"], 5),
                    "images_per_second": round(steps * recipe.p * recipe.k / (now - logged), 1),
                }
                logged, sums, steps = now, torch.zeros(3), 0
                log.write(json.dumps(record) + "\n")
                log.flush()
                yield record
            if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                save(run, out / CHECKPOINT)
                saved = time.monotonic()
    save(run, out / CHECKPOINT)


def _batches(recipe: Recipe, crops: Crops) -> list[list[int]]:
    """The positions of the images of every batch of the whole run."""
    identities = crops.labels.identity.tolist()
    return [
        batch
        for epoch in range(recipe.epochs)
        for batch in epoch_batches(
            identities, p=recipe.p, k=recipe.k, seed=recipe.seed, epoch=epoch
        )
    ]


def _run(recipe: Recipe, network: Siamese, identities: list[int], device: torch.device) -> Run:
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Weight decay pulls on weights; on the scales and shifts of batch norm it only adds noise.
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1 and p.requires_grad]
    optimizer = torch.optim.SGD(
        [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
    )
    return Run(recipe, network, optimizer, identities)


def _open_log(path: Path, step: int) -> TextIO:
    """Open for appending, without the records of steps that will be trained again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = []
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] <= step]
    path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    return path.open("a", encoding="utf-8")
