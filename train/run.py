"""A training run: its network, optimizer and step; where it starts, is saved and goes on."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from reidsearch.errors import UsageError
from reidsearch.files import replacing
from train.data import Crops
from train.network import Siamese
from train.projection import Projection
from train.recipe import Recipe, from_dict

FORMAT = 2
OWN_TERMS = "that of the crops it was trained on"
MARKET_TERMS = "research only: trained on Market-1501, whose terms forbid commercial use"
DEFAULT_WEIGHTS = Path(__file__).parent / "weights" / "osnet-market1501.safetensors"


@dataclass
class Run:
    """A training run at some step. Its randomness is a function of the recipe's seed and the step,
    so the step is all the random state there is to save."""

    recipe: Recipe
    network: Siamese
    average: Siamese | None  # the moving average of the network's weights, where the recipe has one
    optimizer: torch.optim.Optimizer
    identities: list[int]  # class -> identity in the data set
    initial: str  # what the weights started from
    terms: str  # the limits on their use
    step: int = 0

    @property
    def result(self) -> Siamese:
        """The network to measure and to export."""
        return self.average or self.network

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the network, once a step.

        Early on by more than the recipe's decay says: an average of few steps would otherwise be
        mostly the first one's weights.
        """
        if self.average is None:
            return
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        states = self.average.state_dict().values(), self.network.state_dict().values()
        for average, current in zip(*states, strict=True):
            if average.is_floating_point():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)  # batch norm's count of batches


def start(
    recipe: Recipe,
    crops: Crops,
    *,
    device: torch.device,
    weights: Path | None = None,
    terms: str = OWN_TERMS,
) -> Run:
    """A run on these crops, from random initialisation or from ``weights``.

    Of a weights file all is taken that the recipe's network has: the classifiers only where it was
    trained on the same identities. Its terms pass on to the run; ``terms`` are those of the crops.

    Raises UsageError where the recipe cannot be trained on these crops or its network is not the
    file's.
    """
    identities = np.unique(crops.labels.identity).tolist()
    if len(identities) < recipe.p:
        raise UsageError(
            f"recipe {recipe.name} fills its batches with {recipe.p} people, but there are "
            f"{len(identities)}",
            hint="Give more people, or a .toml recipe with a smaller p.",
        )
    torch.manual_seed(recipe.seed)
    network = _network(recipe, identities)
    initial = "random initialisation"
    if weights is not None:
        about = _take(network, weights, identities)
        initial = f"the weights of recipe {about['recipe']['name']}, step {about['step']}"
        terms = terms if about["terms"] == OWN_TERMS else about["terms"]
    return _run(recipe, network, identities, device, initial=initial, terms=terms)


def with_layer(run: Run, fitted: Projection) -> Run:
    """The run's result with that layer after it, which ends it: there is no average any more."""
    recipe = replace(run.recipe, layer=fitted.matrix.shape[1], average=0.0)
    network = _network(recipe, run.identities)
    assert network.layer is not None
    weight, mean = torch.from_numpy(fitted.matrix.T), torch.from_numpy(fitted.mean)
    layer = {"layer.weight": weight, "layer.bias": -weight @ mean}
    network.load_state_dict(run.result.cpu().state_dict() | layer)
    return replace(run, recipe=recipe, network=network.eval(), average=None)


def save(run: Run, path: Path) -> None:
    """Write a checkpoint that describes itself; an interrupted write leaves the old one whole."""
    tensors = _prefixed("network", run.network.state_dict())
    if run.average is not None:
        tensors |= _prefixed("average", run.average.state_dict())
    for name, parameter in run.network.named_parameters():
        if parameter in run.optimizer.state:
            tensors[f"momentum.{name}"] = run.optimizer.state[parameter]["momentum_buffer"]
    _write(path, tensors, run)


def save_weights(run: Run, path: Path) -> None:
    """Write the trained weights alone, in half precision, to start other runs from."""
    halved = {
        k: v.half() if v.is_floating_point() else v for k, v in run.result.state_dict().items()
    }
    _write(path, _prefixed("network", halved), run)


def resume(path: Path, crops: Crops, *, recipe: Recipe, device: torch.device) -> Run:
    """The run in the checkpoint at ``path``, at the step where it was saved.

    A weights file is the checkpoint of a run that has ended, without the momenta.

    Raises UsageError where the checkpoint belongs to other identities or another recipe.
    """
    tensors, about = _read(path)
    identities = np.unique(crops.labels.identity).tolist()
    if about["identities"] != identities:
        raise UsageError(f"{path} was trained on other identities", hint="Choose another --out.")
    if from_dict(about["recipe"]) != recipe:
        raise UsageError(f"{path} belongs to another recipe", hint="Choose another --out.")
    network = _network(recipe, identities)
    run = _run(recipe, network, identities, device, initial=about["initial"], terms=about["terms"])
    run.network.load_state_dict(_without(tensors, "network"))
    if run.average is not None:
        run.average.load_state_dict(_result(tensors))
    momenta = _without(tensors, "momentum")
    for name, parameter in run.network.named_parameters():
        if name in momenta:
            buffer = torch.empty_like(parameter).copy_(momenta[name])
            run.optimizer.state[parameter]["momentum_buffer"] = buffer
    run.step = about["step"]
    return run


def trained(path: Path) -> tuple[Siamese, Recipe]:
    """The network in a checkpoint or weights file, ready to embed, and its recipe.

    Of a checkpoint with a moving average, that average.
    """
    tensors, about = _read(path)
    recipe = from_dict(about["recipe"])
    network = _network(recipe, about["identities"])
    network.load_state_dict(_result(tensors))
    return network.eval(), recipe


def _network(recipe: Recipe, identities: list[int]) -> Siamese:
    return Siamese(
        identities=len(identities),
        width=recipe.network_width,
        side=recipe.side,
        stripes=recipe.stripes,
        stripe=recipe.stripe,
        instance=recipe.instance_norm,
        mix_styles=recipe.mix_styles,
        layer=recipe.layer,
    )


def _run(
    recipe: Recipe,
    network: Siamese,
    identities: list[int],
    device: torch.device,
    *,
    initial: str,
    terms: str,
) -> Run:
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = None
    if recipe.average:
        average = _network(recipe, identities).to(device).requires_grad_(False)
        average.load_state_dict(network.state_dict())
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
    return Run(recipe, network, average, optimizer, identities, initial, terms)


def _take(network: Siamese, path: Path, identities: list[int]) -> dict[str, Any]:
    """Load what the file at ``path`` has of ``network``; returns what it says about itself.

    Raises UsageError where the file's network is another.
    """
    tensors, about = _read(path)
    given = _result(tensors)
    own = network.state_dict()
    if about["identities"] != identities:
        given = {name: t for name, t in given.items() if ".classifier." not in name}
    for part in ("sides.", "stripes.", "layer."):
        if not any(name.startswith(part) for name in own):
            given = {name: t for name, t in given.items() if not name.startswith(part)}
    # An instance norm takes over a batch norm's scales and shifts; it keeps no statistics.
    given = {n: t for n, t in given.items() if n in own or not _is_statistic(n, of=own)}
    trained_with = from_dict(about["recipe"])
    unmet = [name for name in own if _is_statistic(name, of=given) and name not in given]
    unmet += [name for name, t in given.items() if name not in own or own[name].shape != t.shape]
    if unmet:
        keys = ("network_width", "side", "stripes", "stripe", "instance_norm")
        settings = ", ".join(f"{key} = {getattr(trained_with, key)}" for key in keys)
        raise UsageError(
            f"{path} holds another network than the recipe's: {unmet[0]} does not fit",
            hint=f"It was trained with {settings}; take a recipe with the same.",
        )
    network.load_state_dict(own | given)
    return about


def _is_statistic(name: str, *, of: dict[str, Tensor]) -> bool:
    """Whether ``name`` is what batch norm counts beside a scale that is among ``of``."""
    layer, _, last = name.rpartition(".")
    counted = {"running_mean", "running_var", "num_batches_tracked"}
    return last in counted and f"{layer}.weight" in of


def _result(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the run exports: the average, where it has one."""
    return _without(tensors, "average") or _without(tensors, "network")


def _write(path: Path, tensors: dict[str, Tensor], run: Run) -> None:
    about = {
        "format": FORMAT,
        "recipe": run.recipe.as_dict(),
        "identities": run.identities,
        "initial": run.initial,
        "terms": run.terms,
        "step": run.step,
        "torch": str(torch.__version__),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        save_file(plain, partial, {key: json.dumps(value) for key, value in about.items()})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a checkpoint or weights file, and what it says about itself."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
    except (OSError, SafetensorError, ValueError) as error:
        raise UsageError(f"{path} holds no weights of a training run: {error}") from None
    if about.get("format") != FORMAT:
        raise UsageError(f"{path} is not of checkpoint format {FORMAT}")
    return tensors, about


def _prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _without(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = prefix + "."
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
