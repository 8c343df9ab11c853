"""Try an encoder on a few drawn crops, before anything of it is recorded.

What is refused here would fill a gallery without a word of warning: vectors that are all the same,
that change with the pictures beside them or from run to run, or that were made of pixels on another
scale. An untrained network passes: how well vectors tell people apart is for ``evaluate`` to say.
"""

import numpy as np

from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import EncoderError
from reidsearch.types import Pixels, Vectors

CROPS = 6
# Unit vectors no further apart than this have a cosine that single precision rounds to 1.
SAME = 3.5e-4
# How far a vector may be moved by the pictures beside it: so much of the distance between crops,
# and in any case as much as float16 and integer arithmetic make of rounding.
SHARE, ROUNDING = 0.1, 5e-3
# No mean of pixels from 0 to 1 is greater than 1. Their standard deviation is at most 0.5; some
# write 1 for "not scaled", and nobody 10.
MOST_MEAN, MOST_STD = 1.0, 10.0


def check(encoder: Encoder) -> None:
    """Raises EncoderError, which says what is wrong, where the encoder cannot be one."""
    _check_scale(encoder)
    pixels = draw(*encoder.size)
    together = encoder.encode(pixels)
    again = encoder.encode(pixels)
    alone = np.concatenate([encoder.encode(one[None]) for one in pixels])
    if not any(np.isfinite(vectors).any() for vectors in (together, alone)):
        raise _refused(
            encoder,
            f"the vectors it makes of {CROPS} drawn crops are all zero or not finite",
            hint="Look whether mean and std in its metadata are those it was trained with, and "
            "whether float16 is too narrow for it.",
        )
    spread = _spread(alone)
    allowed = max(ROUNDING, SHARE * spread)
    if _moved(together, again) > allowed:
        raise _refused(
            encoder,
            "it makes another vector of the same crop each time",
            hint="Export it in evaluation mode (model.eval() in PyTorch): dropout is still on.",
        )
    if _moved(together, alone) > allowed:
        raise _refused(
            encoder,
            "the vector of a crop depends on the other crops in its batch",
            hint="Export it in evaluation mode (model.eval() in PyTorch), and scale vectors along "
            "their own axis, not along the batch.",
        )
    if spread < SAME:
        raise _refused(
            encoder,
            f"its output is constant: {CROPS} crops that differ get the same vector",
            hint="Look whether mean and std in its metadata are those it was trained with, for "
            "pixels scaled to 0..1, and whether its weights are in the file.",
        )


def draw(height: int, width: int) -> Pixels:
    """CROPS pictures of that size, CROPS x H x W x 3: somebody in two colours before a wall."""
    dice = np.random.default_rng(0)
    y = np.linspace(0, 1, height, endpoint=False)[:, None]
    x = np.abs(np.linspace(-1, 1, width))[None, :]
    head = (y < 0.2) & (x < 0.25)
    torso = (y >= 0.2) & (y < 0.55) & (x < 0.6)
    legs = (y >= 0.55) & (x < 0.45)
    pictures = np.empty((CROPS, height, width, 3))
    for picture in pictures:
        wall, skin, shirt, trousers = dice.uniform(0, 255, (4, 3))
        picture[:] = wall * (0.6 + 0.4 * y[..., None])
        for part, colour in ((legs, trousers), (torso, shirt), (head, skin)):
            picture[part] = colour
        picture += dice.normal(0, 8, picture.shape)
    return np.clip(pictures, 0, 255).astype(np.uint8)


def _check_scale(encoder: Encoder) -> None:
    found = encoder.preprocessing
    if max(found.mean) <= MOST_MEAN and max(found.std) <= MOST_STD:
        return
    mean, std = (",".join(f"{n / 255:.3f}" for n in those) for those in (found.mean, found.std))
    shown = (",".join(f"{n:g}" for n in those) for those in (found.mean, found.std))
    raise _refused(
        encoder,
        "mean {} and std {} in its metadata are on the scale 0..255, and have to be for pixels "
        "scaled to 0..1".format(*shown),
        hint=f"Divide both by 255: mean {mean} and std {std}.",
    )


def _spread(vectors: Vectors) -> float:
    """The greatest distance between the usable vectors of two crops."""
    usable = vectors[np.isfinite(vectors).all(axis=1)]
    return float(np.linalg.norm(usable[:, None] - usable, axis=2).max(initial=0.0))


def _moved(before: Vectors, after: Vectors) -> float:
    """How far the vector that differs most went; all the way where only one of two is usable."""
    usable, still = (np.isfinite(vectors).all(axis=1) for vectors in (before, after))
    if (usable != still).any():
        return np.inf
    return float(np.linalg.norm(before[usable] - after[usable], axis=1).max(initial=0.0))


def _refused(encoder: Encoder, reason: str, *, hint: str) -> EncoderError:
    return EncoderError(f"{encoder.path} cannot be used as an encoder: {reason}", hint=hint)
