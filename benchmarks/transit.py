"""Transit times beside the cosine, on people that neither the encoder nor they were learned from.

    python -m benchmarks.transit --data MARKET_ROOT --hold-out N ENCODER.onnx

Give an encoder that was trained with the same --hold-out and seed. The transit times are learned
once from the other people's identities, once from the gallery's own matches. Prints a Markdown
table over weights, in standard deviations of the cosines of all pairs. ``--rerank`` adds the times
to re-ranked distances instead, with weights as they are.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.held_out import HeldOut
from reidsearch.encoding.encoder import Encoder
from reidsearch.ranking import rerank, transit
from reidsearch.ranking.pairs import known_pairs, mutual_pairs

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
    held = HeldOut.of(
        arguments.data,
        Encoder(arguments.encoder),
        people=arguments.hold_out,
        seed=arguments.seed,
    )
    p, g, labels = held.probes.vectors, held.gallery.vectors, held.gallery.labels
    by_looks, weights = 1 - p @ g.T, WEIGHTS
    unit = float(by_looks.std())
    if arguments.rerank:
        by_looks, weights, unit = np.concatenate(list(rerank.rerank(p, g))), RERANKED_WEIGHTS, 1.0
    print(f"weights are in units of {unit:.3f}")

    known, seen = held.others
    labelled = known_pairs(known.identity, known.camera)
    matches = mutual_pairs(g, labels.camera)
    right = labels.identity[matches]
    print(f"{len(matches)} matches, {(right[:, 0] == right[:, 1]).mean():.1%} of them right\n")
    models = {
        "identities": transit.learn(held.clock, *seen, labelled),
        "matches": transit.learn(held.clock, *held.gallery.seen, matches),
    }
    print("| weight | R1, identities | mAP | R1, matches | mAP |")
    print("|---|---|---|---|---|")
    for weight in weights:
        cells = []
        for model in models.values():
            ratios = model.ratios(*held.probes.seen, *held.gallery.seen)
            scores = held.scores(by_looks - unit * weight * ratios)
            cells += [f"{scores.cmc[1]:.2%}", f"{scores.mAP:.2%}"]
        print(f"| {weight} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
