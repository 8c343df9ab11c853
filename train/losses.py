"""The two losses of the Siamese network."""

import torch
from torch import Tensor
from torch.nn import functional as F


def pairwise_distances(features: Tensor) -> Tensor:
    """Euclidean distances within a batch: B C -> B B, in float32.

    Squared distances are kept above 1e-12, where the root's gradient would be infinite.
    """
    x = features.float()
    squared = x.square().sum(1)
    gram = x @ x.T
    return (squared[:, None] + squared[None, :] - 2 * gram).clamp(min=1e-12).sqrt()


def batch_hard_triplet(features: Tensor, identities: Tensor, *, margin: float) -> Tensor:
    """Triplet loss over the hardest positive and negative of every image in the batch.

    Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017:
    mean of max(0, margin + farthest positive - nearest negative). ``features`` is B C,
    ``identities`` B; the result is a scalar. Every identity must have two images in the batch
    and there must be two identities, as P x K sampling guarantees.
    """
    distances = pairwise_distances(features)
    same = identities[:, None] == identities[None, :]
    farthest_positive = distances.masked_fill(~same, 0.0).amax(1)
    nearest_negative = distances.masked_fill(same, torch.inf).amin(1)
    return F.relu(margin + farthest_positive - nearest_negative).mean()


def identity_loss(logits: Tensor, identities: Tensor, *, smoothing: float) -> Tensor:
    """Cross-entropy with label smoothing (Szegedy et al., CVPR 2016): B I, B -> scalar."""
    return F.cross_entropy(logits.float(), identities, label_smoothing=smoothing)
