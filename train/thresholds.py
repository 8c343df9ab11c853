"""Cosines by false match rate: what an encoder's file says of pairs of different people.

``python -m train`` measures them on the people that it held out, and writes them into the encoders
that it makes. The shipped encoder's were made by

    python -m train.thresholds --data MARKET_ROOT ENCODER.onnx

as nobody was held out from its training: between the test split's queries and the gallery images of
other people from other cameras. That prints the file which lies beside it; in the encoder's own
file they would change its fingerprint.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray

from reidsearch import thresholds
from reidsearch.encoder import Encoder
from reidsearch.ranking.ranking import blocks
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.types import JUNK, Labels, Split, Vectors
from train import data

Pairs = Iterator[tuple[Vectors, NDArray[np.bool_], NDArray[np.bool_]]]  # as scores takes them


def between(probes: Vectors, mine: Labels, gallery: Vectors, theirs: Labels) -> Pairs:
    """The cosines of Q probes with G gallery images, and which pairs from two cameras show the same
    person, and which different people. Junk is nobody's."""
    for rows in blocks(len(probes), len(gallery)):
        known = (mine.identity[rows] > JUNK)[:, None] & (theirs.identity > JUNK)
        known &= mine.camera[rows][:, None] != theirs.camera
        same = mine.identity[rows][:, None] == theirs.identity
        yield probes[rows] @ gallery.T, known & same, known & ~same


def among(vectors: Vectors, labels: Labels) -> Pairs:
    """The same of N images with each other, each pair once."""
    start = 0
    for cosines, same, different in between(vectors, labels, vectors, labels):
        later = np.arange(start, start + len(cosines))[:, None] < np.arange(len(vectors))
        yield cosines, same & later, different & later
        start += len(cosines)


def measure(pairs: Pairs) -> tuple[dict[float, float], int]:
    """The least cosine by false match rate, for the rates that so many pairs of different people
    can tell, and how many these are."""
    found = ScoreDistribution.of(pairs)
    told = {rate: found.threshold(rate) for rate in thresholds.RATES}
    return {rate: t for rate, t in told.items() if t is not None}, int(found.different.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    encoder = Encoder(arguments.encoder)
    height, width = encoder.size
    both = [
        data.load(arguments.data, split, height=height, width=width)
        for split in (Split.QUERY, Split.GALLERY)
    ]
    probes, gallery = (encoder.encode(crops.images.numpy()) for crops in both)
    by_rate, pairs = measure(between(probes, both[0].labels, gallery, both[1].labels))
    measured_on = (
        f"{arguments.data.name}'s queries with the gallery images of other people from other "
        f"cameras, {pairs:,} pairs"
    )
    document: thresholds.Measured = {
        "fingerprint": encoder.fingerprint,
        "measured_on": measured_on,
        "thresholds": json.loads(thresholds.as_text(by_rate)),
    }
    typer.echo(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
