"""Camera means: what a camera adds to all its pictures, taken out of their vectors.

Light, background and angle move the vectors of all of a camera's pictures alike. Without any label,
each number of them is given the mean and the spread that it has over the whole gallery:

    (x - its mean at the camera) / its spread at the camera * its spread + its mean

and the direction of the result is compared. That is what camera-based batch normalization does
inside a network (Zhuang et al., "Rethinking the Distribution Gap of Person Re-identification with
Camera-Based Batch Normalization", ECCV 2020), done once to its vectors.

Of few images the mean says more of who was there than of the camera. So both mean and variance lean
on the gallery's, as an empirical Bayes estimate does (Efron and Morris, "Stein's estimation rule
and its competitors", JASA 1973): those of n images count n / (n + PRIOR). The vectors of a gallery
with one camera, of an unknown camera and of one that nothing was learned of stay as they are.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from reidsearch.ranking.arrays import from_npz, to_npz
from reidsearch.types import UNKNOWN, Ids, Vectors

# As many images as the gallery's own mean and variance count for. By the rule for independent
# images, variance within cameras over that between them, it would be 20 to 40; several are of one
# person, and held-out people favour 50 to 200 (train/RESULTS.md).
PRIOR = 100
MOST = 1.5  # times by which a number is stretched, or pressed: 0.78 to 1.43 were seen
GROWTH = 2.0  # times the images, PRIOR among them, after which a camera's are learned anew
LEAST = 1e-6  # as long as a vector has to be to point anywhere
BLOCK = 1024  # vectors worked on at once


@dataclass(frozen=True)
class CameraMeans:
    """Of each ``camera`` (C ids, ascending), from how many ``images`` it was learned (C), and by
    what its vectors are multiplied (``scale``, C x D) and what is added then (``offset``, C x D).
    """

    camera: Ids
    images: Ids
    scale: Vectors
    offset: Vectors

    @classmethod
    def nothing(cls) -> Self:
        """Of no camera: all vectors stay as they are."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, *np.empty((2, 0, 0), dtype=np.float32))

    def adapted(self, vectors: Vectors, camera: Ids, *, out: Vectors | None = None) -> Vectors:
        """N vectors (N x D) from these cameras (N, UNKNOWN where not known), of unit length again,
        in a new array, or in ``out``, which may be ``vectors``.

        Those of cameras that are not here stay as they are, and so does one of which nothing would
        be left. Each comes out the same whatever others there are.
        """
        if out is None:
            out = vectors.copy()
        if not len(self.camera):
            return out
        place = np.minimum(np.searchsorted(self.camera, camera), len(self.camera) - 1)
        known = np.flatnonzero(self.camera[place] == camera)
        for start in range(0, len(known), BLOCK):
            rows = known[start : start + BLOCK]
            at = place[rows]
            made = vectors[rows] * self.scale[at] + self.offset[at]
            length = np.linalg.norm(made, axis=1, keepdims=True)
            np.divide(made, length, out=made, where=length >= LEAST)
            out[rows] = np.where(length >= LEAST, made, vectors[rows])
        return out

    def outgrown(self, camera: Ids) -> bool:
        """Whether a gallery of N images from these cameras (N) is to be learned from anew: one of
        them has GROWTH times the images, with PRIOR on both sides, or as many times fewer. A
        camera that nothing was learned of has had none."""
        now = dict(zip(*_counted(camera), strict=True))
        then = dict(zip(self.camera.tolist(), self.images.tolist(), strict=True))
        for one in now.keys() | then.keys():
            few, many = sorted((now.get(one, 0) + PRIOR, then.get(one, 0) + PRIOR))
            if many >= GROWTH * few:
                return True
        return False

    def to_bytes(self) -> bytes:
        """As an .npz archive; that of the same means is the same."""
        return to_npz(camera=self.camera, images=self.images, scale=self.scale, offset=self.offset)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of ``to_bytes``."""
        saved = from_npz(data)
        return cls(saved["camera"], saved["images"], saved["scale"], saved["offset"])


def learn(vectors: Vectors, camera: Ids, *, prior: float = PRIOR) -> CameraMeans:
    """From a gallery's N vectors (N x D) and their cameras (N). The same images give the same bits,
    where they come in one order. Images whose camera is not known count for the gallery's mean
    alone."""
    cameras, images = (np.array(column, dtype=np.int64) for column in _counted(camera))
    if not len(cameras):
        return CameraMeans.nothing()
    dimension = vectors.shape[1]
    mean, variance = np.empty((2, len(cameras), dimension))
    for at, one in enumerate(cameras.tolist()):
        own = vectors[camera == one]
        mean[at] = own.mean(axis=0, dtype=np.float64)
        squares = np.zeros(dimension)
        for start in range(0, len(own), BLOCK):
            squares += ((own[start : start + BLOCK] - mean[at]) ** 2).sum(axis=0)
        variance[at] = squares / len(own)
    overall = vectors.mean(axis=0, dtype=np.float64)
    spread = np.average(variance, axis=0, weights=images)
    count = (images / (images + prior))[:, None]
    mean = overall + count * (mean - overall)
    variance = spread + count * (variance - spread)
    scale = np.ones_like(variance)
    np.divide(spread, variance, out=scale, where=variance > 0)
    scale = np.clip(np.sqrt(scale), 1 / MOST, MOST)
    return CameraMeans(
        cameras,
        images,
        scale.astype(np.float32),
        (overall - mean * scale).astype(np.float32),
    )


def _counted(camera: Ids) -> tuple[list[int], list[int]]:
    """Each known camera, ascending, and its number of images."""
    found, count = np.unique(camera[camera != UNKNOWN], return_counts=True)
    return found.tolist(), count.tolist()
