"""People that an encoder was not trained on, in a gallery of the size they would meet.

The held-out people's images are probes and gallery, to which all other training images are added:
strangers are what a ranking must not lift.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from reidsearch import datasets
from reidsearch.encoding.encoder import Encoder
from reidsearch.ranking import metrics
from reidsearch.ranking.clock import Clock, Times
from reidsearch.ranking.metrics import Scores
from reidsearch.ranking.ranking import Sighted
from reidsearch.types import Distances, Ids, Labels, Split, Vectors, known_or_unknown
from train import data


@dataclass(frozen=True)
class Images:
    """N images: their ``vectors`` (N x D), ``labels``, and when and where they were ``seen``."""

    vectors: Vectors
    labels: Labels
    seen: Sighted


@dataclass(frozen=True)
class HeldOut:
    """``probes`` and ``gallery``, and the labels and sightings of the ``others``, whom the encoder
    knows; times are those of one ``clock``."""

    probes: Images
    gallery: Images
    others: tuple[Labels, Sighted]
    clock: Clock

    @classmethod
    def asked_for(cls, description: str | None) -> Self:
        """By the command line of a benchmark that looks at such people alone."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("encoder", type=Path)
        parser.add_argument("--data", type=Path, required=True)
        parser.add_argument("--hold-out", type=int, required=True)
        parser.add_argument("--seed", type=int, default=1)
        asked = parser.parse_args()
        return cls.of(asked.data, Encoder(asked.encoder), people=asked.hold_out, seed=asked.seed)

    @classmethod
    def of(cls, root: Path, encoder: Encoder, *, people: int, seed: int) -> Self:
        """For an encoder that was trained with the same hold-out and seed."""
        height, width = encoder.size
        everyone = data.people(data.load(root, Split.TRAIN, height=height, width=width))
        others, probes, _ = data.hold_out(everyone, people, seed=seed)
        sightings = {s.path: s for s in datasets.read(root, splits=[Split.TRAIN]).sightings}

        def frames(crops: data.Crops) -> tuple[Ids, Ids, Ids, Times]:
            """Camera, sequence, frame and (unknown) timestamp."""
            seen = [sightings[path] for path in crops.paths]
            sequence, frame = (
                known_or_unknown(s.sequence for s in seen),
                known_or_unknown(s.frame for s in seen),
            )
            return crops.labels.camera, sequence, frame, np.full(len(crops), np.nan)

        clock = Clock.of(*frames(everyone))

        def sighted(crops: data.Crops) -> Sighted:
            return Sighted(crops.labels.camera, clock.times(*frames(crops)))

        def images(crops: data.Crops) -> Images:
            return Images(encoder.encode(crops.images.numpy()), crops.labels, sighted(crops))

        gallery = everyone.subset(~np.isin(everyone.paths, probes.paths))
        known = (others.labels, sighted(others))
        return cls(images(probes), images(gallery), known, clock)

    def scores(self, distances: Distances) -> Scores:
        """Of the probes' distances to the gallery (Q x G)."""
        ranks = metrics.positive_ranks(distances, self.probes.labels, self.gallery.labels)
        return metrics.per_probe(ranks).summary()
