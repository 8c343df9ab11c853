"""Embedding size against accuracy: each head of a trained network, and their concatenations.

    python -m benchmarks.heads --data MARKET_ROOT [--hold-out N] CHECKPOINT.safetensors

Prints a Markdown table. Give the --hold-out that the run was trained with to measure on those
identities; without it, the test split is measured.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.encoders import score, split
from train.augment import normalise
from train.data import Crops
from train.network import Siamese
from train.run import trained

BATCH = 256


@torch.inference_mode()
def parts(network: Siamese, crops: Crops) -> list[torch.Tensor]:
    """The part of each head for all crops, N x C."""
    batches = [network.parts(normalise(images)) for images in crops.images.split(BATCH)]
    return [torch.cat(part) for part in zip(*batches, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hold-out", type=int, default=0)
    arguments = parser.parse_args()
    network, recipe = trained(arguments.checkpoint)
    probes, gallery = split(
        arguments.data, (recipe.height, recipe.width), hold_out=arguments.hold_out, seed=recipe.seed
    )
    p, g = parts(network, probes), parts(network, gallery)
    names = ["main", *(f"stage {n}" for n in range(2, 2 + len(network.sides)))]
    names += [f"stripe {n}" for n in range(1, 1 + len(network.stripes))]
    chosen = [[i] for i in range(len(names))]
    chosen += [[0, *range(first, len(names))] for first in range(len(names) - 1, 0, -1)]
    print("| heads | size | R1 | mAP |")
    print("|---|---|---|---|")
    for heads in chosen:
        mine, theirs = (torch.cat([x[i] for i in heads], dim=1).numpy() for x in (p, g))
        s = score(probes, mine, gallery, theirs)
        label = " + ".join(names[i] for i in heads)
        print(f"| {label} | {mine.shape[1]} | {s.cmc[1]:.2%} | {s.mAP:.2%} |", flush=True)


if __name__ == "__main__":
    main()
