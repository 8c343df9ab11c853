"""``python -m train.thresholds --data MARKET_ROOT ENCODER.onnx``: the encoder's own thresholds.

Cosines by false match rate between the test split's queries and the gallery images of other people
from other cameras: nobody whom an encoder of the training split has seen. Prints the file that
lies beside the shipped encoder; with --out it also writes the encoder with them in its metadata,
which is another file with another fingerprint.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import typer
from numpy.typing import NDArray

from reidsearch import thresholds
from reidsearch.encoder import Encoder
from reidsearch.ranking.ranking import blocks
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.types import JUNK, Labels, Split, Vectors
from train import data


def measure(
    probes: Vectors, mine: Labels, gallery: Vectors, theirs: Labels
) -> tuple[dict[float, float], int]:
    """The least cosine by false match rate, and from how many pairs. Junk is left out."""

    def pairs() -> Iterator[tuple[Vectors, NDArray[np.bool_], NDArray[np.bool_]]]:
        for rows in blocks(len(probes), len(gallery)):
            known = (mine.identity[rows] > JUNK)[:, None] & (theirs.identity > JUNK)
            known &= mine.camera[rows][:, None] != theirs.camera
            same = mine.identity[rows][:, None] == theirs.identity
            yield probes[rows] @ gallery.T, known & same, known & ~same

    found = ScoreDistribution.of(pairs())
    told = {rate: found.threshold(rate) for rate in thresholds.RATES}
    return {rate: t for rate, t in told.items() if t is not None}, int(found.different.sum())


def write(encoder: Path, out: Path, by_rate: dict[float, float]) -> None:
    """The encoder's file with thresholds in its metadata; its weights are untouched."""
    model = onnx.load(str(encoder))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata["thresholds"] = thresholds.as_text(by_rate)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, str(out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    encoder = Encoder(arguments.encoder)
    height, width = encoder.size
    both = [
        data.load(arguments.data, split, height=height, width=width)
        for split in (Split.QUERY, Split.GALLERY)
    ]
    probes, gallery = (encoder.encode(crops.images.numpy()) for crops in both)
    by_rate, pairs = measure(probes, both[0].labels, gallery, both[1].labels)
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
    if arguments.out:
        write(arguments.encoder, arguments.out, by_rate)


if __name__ == "__main__":
    main()
