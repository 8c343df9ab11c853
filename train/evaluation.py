"""Measure a network with reidsearch's own metrics."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from reidsearch import metrics
from train.augment import normalise
from train.data import Crops
from train.network import Siamese


@torch.inference_mode()
def embed(network: Siamese, crops: Crops, *, batch: int = 256) -> NDArray[np.float32]:
    """Unit vectors N x D of all crops, in the network's own precision (no autocast)."""
    device = next(network.parameters()).device
    network.eval()
    vectors = [
        F.normalize(network(normalise(part.to(device)))).cpu() for part in crops.images.split(batch)
    ]
    return torch.cat(vectors).numpy()


def evaluate(network: Siamese, probes: Crops, gallery: Crops) -> metrics.Scores:
    """The Market-1501 protocol with cosine distance."""
    distances = 1 - embed(network, probes) @ embed(network, gallery).T
    return metrics.score(metrics.positive_ranks(distances, probes.labels, gallery.labels))
