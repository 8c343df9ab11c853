"""Measure embeddings with reidsearch's own metrics."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from reidsearch.encoding.encoder import Encoder
from reidsearch.ranking import camera_means, metrics
from reidsearch.types import Labels, Vectors
from train.augment import normalise
from train.data import Crops
from train.network import Siamese

Embed = Callable[[Crops], Vectors]  # N crops -> unit vectors, N x D
BATCH = 256


def by_network(network: Siamese) -> Embed:
    """Embed with a network in PyTorch, in its own precision (no autocast)."""

    @torch.inference_mode()
    def embed(crops: Crops) -> Vectors:
        device = next(network.parameters()).device
        network.eval()
        parts = crops.images.split(BATCH)
        return torch.cat(
            [F.normalize(network(normalise(part.to(device)))).cpu() for part in parts]
        ).numpy()

    return embed


def by_encoder(encoder: Encoder) -> Embed:
    """Embed with an exported encoder, as reidsearch does."""
    return lambda crops: encoder.encode(crops.images.numpy())


def evaluate(embed: Embed, probes: Crops, gallery: Crops) -> metrics.Scores:
    """The Market-1501 protocol with cosine distance."""
    return score(probes, embed(probes), gallery, embed(gallery))


def score(probes: Crops, p: Vectors, gallery: Crops, g: Vectors) -> metrics.Scores:
    """The same from vectors of unit length, Q x D and G x D."""
    ranks = metrics.positive_ranks(1 - p @ g.T, probes.labels, gallery.labels)
    return metrics.per_probe(ranks).summary()


def without_cameras(probes: Crops, p: Vectors, gallery: Crops, g: Vectors) -> metrics.Scores:
    """The same less what cameras add, learned from the gallery without its labels."""
    means = camera_means.learn(g, gallery.labels.camera)
    taken_out = (means.adapted(v, c.labels.camera) for v, c in ((p, probes), (g, gallery)))
    p, g = taken_out
    return score(probes, p, gallery, g)


def together(*labels: Labels) -> Labels:
    """Those of several lots of crops, one after the other."""
    columns = ([one.identity for one in labels], [one.camera for one in labels])
    return Labels(*(np.concatenate(column) for column in columns))
