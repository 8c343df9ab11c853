"""P x K sampling: batches of P identities with K images each."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np


def epoch_batches(
    identities: Sequence[int], *, p: int, k: int, seed: int, epoch: int
) -> list[list[int]]:
    """The batches of one epoch: lists of P x K image positions, K of each of P identities.

    Each identity's images are shuffled and cut into groups of K (an identity with fewer than K
    images repeats some); a batch takes one group from each of P identities, until fewer than P
    have one left. The result depends on the arguments alone, so a run can be resumed at any
    batch. Raises ValueError where there are fewer than P identities.
    """
    images: dict[int, list[int]] = defaultdict(list)
    for position, identity in enumerate(identities):
        images[identity].append(position)
    if len(images) < p:
        raise ValueError(f"{len(images)} identities cannot fill batches of {p}")

    rng = np.random.default_rng((seed, epoch))
    groups: dict[int, list[list[int]]] = {}
    for identity, positions in sorted(images.items()):
        shuffled = rng.permutation(positions).tolist()
        if len(shuffled) < k:
            shuffled += rng.choice(positions, k - len(shuffled)).tolist()
        groups[identity] = [shuffled[i : i + k] for i in range(0, len(shuffled) - k + 1, k)]

    batches = []
    left = sorted(groups)
    while len(left) >= p:
        # Identities with many groups go first more often; otherwise they would be left over.
        weights = np.array([len(groups[i]) for i in left], dtype=float)
        chosen = rng.choice(left, p, replace=False, p=weights / weights.sum()).tolist()
        batches.append([position for i in chosen for position in groups[i].pop()])
        left = [i for i in left if groups[i]]
    return batches
