"""Adapt a network to crops that nobody labelled, from weights to weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reidsearch.errors import ReidsearchError, UsageError
from reidsearch.types import Labels
from train import loop, recipe, rounds, run
from train.data import Crops
from train.evaluation import by_network
from train.groups import Seen
from train.network import Siamese
from train.recipe import Adaptation, Recipe
from train.rounds import Record, State
from train.run import Run

FIRST, SECOND = "groups-first.npz", "groups-second.npz"  # before the network is trained, and after

Log = Callable[[Record], None]


class NotAdapted(ReidsearchError):
    """The old encoder is better kept, as far as that can be told without a label."""


def training_recipe(plan: Adaptation) -> Recipe:
    """How the network is trained on the groups.

    Raises UsageError where the plan names no recipe of training.
    """
    found = recipe.load(plan.training, epochs=plan.epochs, seed=plan.seed)
    if not isinstance(found, Recipe):
        raise UsageError(f"recipe {plan.name} trains with {plan.training}, which trains nothing")
    return found


def adapt(
    plan: Adaptation,
    crops: Crops,
    seen: Seen,
    *,
    weights: Path,
    terms: str,
    out: Path,
    device: torch.device,
    log: Log,
) -> Run:
    """Group the crops, train the network on the groups, group them again with it and put the layer
    that fits the last groups after it. What is there in ``out`` is not done again.

    Raises NotAdapted where the groups are not to be trusted or tell nothing new, UsageError where
    ``out`` is of other crops or another recipe, the crops are of one camera, or too few people are
    found for a batch.
    """
    if len(np.unique(crops.labels.camera)) < 2:
        raise UsageError(
            "the crops are all of one camera, or their cameras are not known: nothing would say "
            "which groups are right",
            hint="Give crops of two cameras or more: a folder for each, or a CSV with the columns "
            "path and camera.",
        )
    network, _ = run.trained(weights)
    first = _grouped(plan, network.to(device), crops, seen, path=out / FIRST, log=log)
    confirmed = rounds.agreement(first, plan, seen)
    log({"links_confirmed": round(confirmed, 3), "needed": plan.agreement, "known": plan.known})
    told = (
        f"of the links between cameras that the old encoder finds by itself, {confirmed:.0%} are "
        f"found again from the groups of other people"
    )
    if confirmed < plan.agreement:
        raise NotAdapted(
            f"the groups are too impure to learn from: {told}, and {plan.agreement:.0%} are "
            "needed. No encoder was written",
            hint="Keep the old encoder. More crops of each person, or cameras that see the same "
            "people, may help; so do labels: --recipe finetune.",
        )
    if confirmed >= plan.known:
        raise NotAdapted(
            f"the old encoder knows these cameras already: {told}. From {plan.known:.0%} on, "
            "adapting made an encoder worse. No encoder was written",
            hint="Keep the old encoder. If it does find the wrong people, labels help: --recipe "
            "finetune.",
        )
    people = _people(crops, rounds.surest(first, plan, seen))
    how = training_recipe(plan)
    checkpoint = out / loop.CHECKPOINT
    if checkpoint.exists():
        training = run.resume(checkpoint, people, recipe=how, device=device)
    else:
        training = run.start(how, people, device=device, weights=weights, terms=terms)
    for record in loop.train(training, people, out=out):
        log(record)
    second = _grouped(plan, training.result, crops, seen, path=out / SECOND, log=log)
    return run.with_layer(training, rounds.layer(second, plan, seen))


def _grouped(
    plan: Adaptation, network: Siamese, crops: Crops, seen: Seen, *, path: Path, log: Log
) -> State:
    state = rounds.begin(plan, network, crops, seen, path=path)
    for record in rounds.run(state, plan, by_network(network), crops, seen, path=path):
        log(record)
    return state


def _people(crops: Crops, group: np.ndarray) -> Crops:
    """The crops of groups that have more than one, labelled with these, from 1."""
    several = np.bincount(group)[group] > 1
    labels = Labels(group[several] + 1, crops.labels.camera[several])
    return replace(crops.subset(several), labels=labels)
