"""The training loop: reads top to bottom, and can be stopped and resumed at any step."""

import ctypes
import json
import math
import time
from collections.abc import Callable, Generator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor

from reidsearch.files import replacing
from train.augment import augment
from train.data import Crops
from train.losses import batch_hard_triplet, identity_loss
from train.network import Outputs
from train.recipe import Recipe
from train.run import Run, save
from train.sampler import epoch_batches

CHECKPOINT = "checkpoint.safetensors"
Forward = Callable[[Tensor], list[Outputs]]  # B 3 H W -> what each head gives

SAVE_EVERY_SECONDS = 120.0
LOG_EVERY_STEPS = 20
LOG_EVERY_SECONDS = 30.0


def learning_rate(recipe: Recipe, progress: float) -> float:
    """One cycle (Smith, 2018) with cosine flanks; ``progress`` runs from 0 to 1."""
    low = recipe.learning_rate / 25
    if progress < recipe.warmup:
        rise = progress / recipe.warmup
        return low + (recipe.learning_rate - low) * (1 - math.cos(math.pi * rise)) / 2
    fall = (progress - recipe.warmup) / (1 - recipe.warmup)
    return recipe.learning_rate * (1 + math.cos(math.pi * fall)) / 2


def train(run: Run, crops: Crops, *, out: Path) -> Generator[dict[str, Any], None, None]:
    """Train to the recipe's end; yields a log record every LOG_EVERY_STEPS steps, sooner where
    those take longer than LOG_EVERY_SECONDS.

    The records also go to ``out``/log.jsonl, a checkpoint to ``out``/CHECKPOINT every two minutes
    and at the end.
    """
    keep_freed_memory()
    recipe = run.recipe
    device = next(run.network.parameters()).device
    images = crops.images.to(device)
    classes = torch.from_numpy(np.searchsorted(run.identities, crops.labels.identity)).to(device)
    batches = _batches(recipe, crops)
    total = len(batches)

    forward = compiled(run, device)
    run.network.train()
    saved = logged = time.monotonic()
    sums, steps = torch.zeros(3), 0  # since the last record
    with _open_log(out / "log.jsonl", run.step) as log:
        for rows in batches[run.step :]:
            for group in run.optimizer.param_groups:
                group["lr"] = learning_rate(recipe, run.step / total)
            picked = torch.tensor(rows, device=device)
            generator = torch.manual_seed(recipe.seed * 1_000_003 + run.step)
            batch = augment(
                images[picked],
                pad=recipe.pad,
                erase=recipe.erase,
                generator=generator,
                jitter=recipe.jitter,
                grey=recipe.grey,
                blur=recipe.blur,
            )
            targets = classes[picked]
            sums += take_step(run, forward, batch, targets).cpu()
            steps += 1
            now = time.monotonic()
            due = run.step % LOG_EVERY_STEPS == 0 or now - logged > LOG_EVERY_SECONDS
            if due or run.step == total:
                identity, metric, accuracy = (sums / steps).tolist()
                record = {
                    "step": run.step,
                    "of": total,
                    "identity_loss": round(identity, 4),
                    "triplet_loss": round(metric, 4),
                    "accuracy": round(accuracy, 4),
                    "learning_rate": round(run.optimizer.param_groups[0]["lr"], 5),
                    "images_per_second": round(steps * recipe.p * recipe.k / (now - logged), 1),
                    "minutes_left": round((total - run.step) * (now - logged) / steps / 60, 1),
                }
                logged, sums, steps = now, torch.zeros(3), 0
                log.write(json.dumps(record) + "\n")
                log.flush()
                yield record
            if now - saved > SAVE_EVERY_SECONDS:
                save(run, out / CHECKPOINT)
                saved = time.monotonic()
    save(run, out / CHECKPOINT)


def take_step(run: Run, forward: Forward, batch: Tensor, targets: Tensor) -> Tensor:
    """One step on an augmented batch, B 3 H W, of classes ``targets``, B.

    Returns the main head's identity loss, triplet loss and accuracy.
    """
    narrow = precision(batch.device) == torch.bfloat16
    with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=narrow):
        outputs = forward(batch)
    loss, parts = _loss(outputs, targets, run.recipe)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    run.optimizer.step()
    run.step += 1
    run.follow()
    return parts


def compiled(run: Run, device: torch.device) -> Forward:
    """The network's forward pass, the way it is fastest on ``device``."""
    if device.type == "cuda":  # on CPUs compiling takes two minutes and gains nothing
        compiled: Forward = torch.compile(run.network.training_outputs)
        return compiled
    return run.network.training_outputs


@cache
def precision(device: torch.device) -> torch.dtype:
    """bfloat16 where ``device`` has instructions for it, otherwise float32.

    A CPU without them works in float32 all the same, and converts before and after every
    operation: training would take many times as long.
    """
    if device.type != "cpu":
        return torch.bfloat16
    # An older PyTorch cannot tell.
    has: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    fast = any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if fast else torch.float32


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next step.

    By default glibc hands every large block back to the kernel, which then clears it page by page
    at its next use, at every layer of every step.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        m_trim_threshold, m_mmap_max = -1, -4
        libc.mallopt(m_trim_threshold, -1)
        libc.mallopt(m_mmap_max, 0)


def _loss(outputs: list[Outputs], targets: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The loss of all heads, and what ``take_step`` returns."""
    total = torch.zeros((), device=targets.device)
    parts: list[Tensor] = []
    for head in outputs:
        identity = identity_loss(head.logits, targets, smoothing=recipe.label_smoothing)
        triplet = batch_hard_triplet(head.features, targets, margin=recipe.triplet_margin)
        weight = recipe.side_weight if parts else 1.0
        total = total + weight * (identity + recipe.triplet_weight * triplet)
        if not parts:
            correct = (head.logits.argmax(1) == targets).float().mean()
            parts = [identity, triplet, correct]
    return total, torch.stack(parts).detach()


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


def _open_log(path: Path, step: int) -> TextIO:
    """Open for appending, without the records of steps that will be trained again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = []
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] <= step]
    with replacing(path) as partial:
        partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    return path.open("a", encoding="utf-8")
