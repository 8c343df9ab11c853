"""Training speed against the hardware's limit.

    python -m benchmarks.train [--recipe NAME] [--device cpu]

Every operation of one training step is counted as it runs: its floating-point operations
(convolutions and matrix products) and the bytes of the tensors it reads and writes. It cannot take
less than the longer of operations / peak and bytes / bandwidth, both measured here, with a large
matrix product and a large copy; the sum over a step is the limit. The last line gives images a
second, and their share of the limit.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from reidsearch.types import Labels
from train import loop, recipe
from train.augment import normalise
from train.data import Crops
from train.run import Run, start

ROUNDS = 10
IDENTITIES = 751


class Counter(TorchDispatchMode):
    """Adds up the shortest possible time of every operation that runs inside it."""

    def __init__(self, *, peak: float, bandwidth: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak, self.bandwidth = peak, bandwidth
        self.operations = self.bytes = self.seconds = 0.0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.is_view:
            return out
        count = flop_registry.get(func.overloadpacket)
        operations = count(*args, **(kwargs or {}), out_val=out) if count else 0
        moved = sum(t.numel() * t.element_size() for t in _tensors((args, kwargs, out)))
        self.operations += operations
        self.bytes += moved
        self.seconds += max(operations / self.peak, moved / self.bandwidth)
        return out


def _tensors(values: Any) -> list[torch.Tensor]:
    leaves = torch.utils._pytree.tree_leaves(values)
    return list({id(v): v for v in leaves if isinstance(v, torch.Tensor)}.values())


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """The shortest of ROUNDS calls."""
    times = []
    for _ in range(ROUNDS):
        _wait(device)
        started = time.perf_counter()
        call()
        _wait(device)
        times.append(time.perf_counter() - started)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="cpu")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    plan = recipe.load(arguments.recipe, epochs=1)
    if not isinstance(plan, recipe.Recipe):
        parser.error(f"{plan.name} is no recipe of training alone")
    loop.keep_freed_memory()

    size = 8192 if device.type == "cuda" else 2048
    dtype = loop.precision(device)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    peak = 2 * size**3 / seconds(lambda: a @ b, device)
    source = torch.zeros(1 << 28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    bandwidth = 2 * source.numel() / seconds(lambda: target.copy_(source), device)
    print(f"{device}: {peak / 1e9:.0f} GFLOP/s in {dtype}, {bandwidth / 1e9:.1f} GB/s")

    run, batch, targets = _batch(plan, device)
    with Counter(peak=peak, bandwidth=bandwidth) as counter:
        loop.take_step(run, run.network.training_outputs, batch, targets)
    forward = loop.compiled(run, device)
    measured = seconds(lambda: loop.take_step(run, forward, batch, targets), device)
    count = len(batch)
    print(
        f"recipe {plan.name}: {counter.operations / count / 1e9:.2f} GFLOP and "
        f"{counter.bytes / count / 1e6:.0f} MB an image"
    )
    print(
        f"{count / measured:.0f} images/s, {counter.seconds / measured:.0%} of the limit of "
        f"{count / counter.seconds:.0f}"
    )


def _batch(plan: recipe.Recipe, device: torch.device) -> tuple[Run, torch.Tensor, torch.Tensor]:
    pixels = torch.randint(0, 256, (IDENTITIES, plan.height, plan.width, 3), dtype=torch.uint8)
    labels = Labels(np.arange(1, IDENTITIES + 1), np.ones(IDENTITIES, dtype=np.int64))
    run = start(plan, Crops(pixels, labels, [], Path()), device=device)
    run.network.train()
    size = plan.p * plan.k
    targets = torch.arange(size, device=device) // plan.k
    return run, normalise(pixels[:size].to(device)), targets


if __name__ == "__main__":
    main()
