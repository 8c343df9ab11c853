"""Cosines by false match rate: what an encoder's file says of pairs of different people.

``python -m train`` measures them on the people that it held out, and writes them into the encoders
that it makes. The shipped encoder's were made by

    python -m train.thresholds --data MARKET_ROOT --unseen NAME=CSV ENCODER.onnx

as nobody was held out from its training: between the test split's queries and the gallery images of
other people from other cameras. That prints the file which lies beside it, with its accuracy on
this test split and on those of data sets whose cameras it never saw; in the encoder's own file they
would change its fingerprint.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from reidsearch.encoding import thresholds
from reidsearch.encoding.encoder import Encoder
from reidsearch.ranking.metrics import Scores
from reidsearch.ranking.ranking import blocks
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.types import JUNK, Labels, Split, Vectors
from train import data, evaluation, export

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


class Tested(NamedTuple):
    """A test split's images with their labels, Q probes and G gallery images, and the protocol's
    numbers."""

    probes: tuple[Vectors, Labels]
    gallery: tuple[Vectors, Labels]
    scores: Scores


def tested(encoder: Encoder, path: Path) -> Tested:
    """The test split of the data at ``path``, encoded."""
    height, width = encoder.size
    probes, gallery = (
        data.load(path, split, height=height, width=width) for split in (Split.QUERY, Split.GALLERY)
    )
    p, g = map(evaluation.by_encoder(encoder), (probes, gallery))
    scores = evaluation.score(probes, p, gallery, g)
    return Tested((p, probes.labels), (g, gallery.labels), scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--unseen", action="append", default=[], metavar="NAME=DATA")
    arguments = parser.parse_args()
    encoder = Encoder(arguments.encoder)
    accuracy = []
    for given in arguments.unseen:
        called, _, path = given.partition("=")
        scores = tested(encoder, Path(path)).scores
        accuracy.append(export.accuracy_of(scores, data=called, unseen=True))
    seen = tested(encoder, arguments.data)
    name = arguments.data.name
    accuracy.insert(0, export.accuracy_of(seen.scores, data=f"{name}, test split", unseen=False))
    by_rate, pairs = measure(between(*seen.probes, *seen.gallery))
    measured_on = (
        f"{name}'s queries with the gallery images of other people from other cameras, "
        f"{pairs:,} pairs"
    )
    document: thresholds.Measured = {
        "fingerprint": encoder.fingerprint,
        "measured_on": measured_on,
        "thresholds": json.loads(thresholds.as_text(by_rate)),
        "accuracy": [asdict(one) for one in accuracy],
    }
    typer.echo(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
