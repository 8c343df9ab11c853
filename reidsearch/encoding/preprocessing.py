"""What stands between a decoded picture and an encoder's network."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reidsearch.types import Pixels

MAX_TEXT = 200  # characters of a metadata value
MAX_FACTOR = 1e6  # of mean and std, and std's inverse
CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What stands between a decoded picture and the network. Sizes in pixels."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    color_order: str = "RGB"
    flip_average: bool = False

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> "Preprocessing":
        """Read it from a model's metadata. Raises ValueError that names what is wrong."""
        missing = {"input_size", "mean", "std"} - metadata.keys()
        if missing:
            raise ValueError(f"its metadata has no {', '.join(sorted(missing))}")
        for key in ("input_size", "mean", "std", "color_order", "flip_average"):
            if len(metadata.get(key, "")) > MAX_TEXT:
                raise ValueError(f"{key} has more than {MAX_TEXT} characters")
        try:
            height, width = (int(part) for part in metadata["input_size"].split("x"))
        except ValueError:
            raise ValueError(f"input_size {metadata['input_size']!r} is not like 128x64") from None
        if not (0 < height <= 4096 and 0 < width <= 4096):
            raise ValueError(f"input_size {metadata['input_size']!r} is out of range")
        order = metadata.get("color_order", "RGB").upper()
        if order not in ("RGB", "BGR"):
            raise ValueError(f"color_order {order!r} is neither RGB nor BGR")
        std = _triple("std", metadata["std"])
        if min(std) <= 0:
            raise ValueError("std must be positive")
        mean = _triple("mean", metadata["mean"])
        if max(*map(abs, mean), *std, *(1 / s for s in std)) > MAX_FACTOR:
            raise ValueError("mean or std is out of range")
        return cls(
            height=height,
            width=width,
            mean=mean,
            std=std,
            color_order=order,
            flip_average=metadata.get("flip_average", "false").lower() == "true",
        )

    def to_metadata(self) -> dict[str, str]:
        """The inverse of ``from_metadata``."""
        return {
            "input_size": f"{self.height}x{self.width}",
            "mean": ",".join(map(repr, self.mean)),
            "std": ",".join(map(repr, self.std)),
            "color_order": self.color_order,
            "flip_average": str(self.flip_average).lower(),
        }

    def __call__(self, images: Pixels) -> NDArray[np.float32]:
        """N x H x W x 3 RGB uint8 -> N x 3 x H x W float32, normalised."""
        if self.color_order == "BGR":
            images = images[..., ::-1]
        scale: NDArray[np.float32] = np.array([1 / (255 * s) for s in self.std], dtype=np.float32)
        pairs = zip(self.mean, self.std, strict=True)
        shift: NDArray[np.float32] = np.array([m / s for m, s in pairs], dtype=np.float32)
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        planes *= scale[:, None, None]
        planes -= shift[:, None, None]
        return planes


def _triple(key: str, text: str) -> tuple[float, float, float]:
    try:
        r, g, b = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{key} {text!r} is not three numbers like 0.5,0.5,0.5") from None
    if not all(map(math.isfinite, (r, g, b))):
        raise ValueError(f"{key} {text!r} is not finite")
    return r, g, b
