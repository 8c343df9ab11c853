"""Transit times beside the cosine, on people that neither the encoder nor they were learned from.

    python -m benchmarks.transit --data MARKET_ROOT --hold-out N ENCODER.onnx

Give an encoder that was trained with the same --hold-out and seed. The held-out people's images are
probes and gallery, to which all other training images are added, so that it is as large as the test
gallery; the transit times are learned once from the other people's identities, once from the
gallery's own matches. Prints a Markdown table over weights, in standard deviations of the cosines
of all pairs. ``--rerank`` adds the times to re-ranked distances instead, with weights as they are.
"""

import argparse
from pathlib import Path

import numpy as np

from reidsearch import datasets
from reidsearch.encoder import Encoder
from reidsearch.ranking import metrics, rerank, transit
from reidsearch.ranking.clock import Clock, Times
from reidsearch.ranking.pairs import known_pairs, mutual_pairs
from reidsearch.types import Ids, Split, known_or_unknown
from train import data

WEIGHTS = (0.0, 0.11, 0.22, 0.33, 0.45, 0.56, 0.67, 0.78)
RERANKED_WEIGHTS = (0.0, 0.02, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hold-out", type=int, required=True)
    parser.add_argument("--rerank", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    encoder = Encoder(arguments.encoder)
    height, width = encoder.size
    everyone = data.people(data.load(arguments.data, Split.TRAIN, height=height, width=width))
    others, probes, _ = data.hold_out(everyone, arguments.hold_out, seed=arguments.seed)

    sightings = {s.path: s for s in datasets.read(arguments.data, splits=[Split.TRAIN]).sightings}

    def frames(crops: data.Crops) -> tuple[Ids, Ids, Ids, Times]:
        """Camera, sequence, frame and (unknown) timestamp."""
        seen = [sightings[path] for path in crops.paths]
        sequence, frame = (
            known_or_unknown(s.sequence for s in seen),
            known_or_unknown(s.frame for s in seen),
        )
        return crops.labels.camera, sequence, frame, np.full(len(crops), np.nan)

    # Not the held-out people's alone: strangers are what evidence must not lift.
    gallery = everyone.subset(~np.isin(everyone.paths, probes.paths))
    clock = Clock.of(*frames(everyone))
    times = {name: clock.times(*frames(crops)) for name, crops in (
        ("others", others), ("probes", probes), ("gallery", gallery)
    )}  # fmt: skip
    p, g = (encoder.encode(crops.images.numpy()) for crops in (probes, gallery))
    by_looks, weights = 1 - p @ g.T, WEIGHTS
    unit = float(by_looks.std())
    if arguments.rerank:
        by_looks, weights, unit = np.concatenate(list(rerank.rerank(p, g))), RERANKED_WEIGHTS, 1.0
    print(f"weights are in units of {unit:.3f}")

    people, cameras = others.labels.identity, others.labels.camera
    labelled = known_pairs(people, cameras)
    matches = mutual_pairs(g, gallery.labels.camera)
    right = gallery.labels.identity[matches]
    print(f"{len(matches)} matches, {(right[:, 0] == right[:, 1]).mean():.1%} of them right\n")
    models = {
        "identities": transit.learn(clock, cameras, times["others"], labelled),
        "matches": transit.learn(clock, gallery.labels.camera, times["gallery"], matches),
    }
    print("| weight | R1, identities | mAP | R1, matches | mAP |")
    print("|---|---|---|---|---|")
    for weight in weights:
        cells = []
        for model in models.values():
            ratios = model.ratios(
                probes.labels.camera, times["probes"], gallery.labels.camera, times["gallery"]
            )
            distances = by_looks - unit * weight * ratios
            ranks = metrics.positive_ranks(distances, probes.labels, gallery.labels)
            scores = metrics.per_probe(ranks).summary()
            cells += [f"{scores.cmc[1]:.2%}", f"{scores.mAP:.2%}"]
        print(f"| {weight} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
