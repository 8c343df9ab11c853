"""Augmentation as batched tensor operations, on the device where the images lie."""

import torch
from torch import Tensor

# ImageNet's statistics: the field's habit, kept so that published encoders compare.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

ERASED_AREA = (0.02, 0.4)  # share of the picture, Zhong et al., "Random Erasing", AAAI 2020
ERASED_ASPECT = (0.3, 1 / 0.3)  # height over width


def normalise(images: Tensor) -> Tensor:
    """B H W 3 uint8 -> B 3 H W float32 in channels-last memory, with MEAN and STD."""
    mean = torch.tensor(MEAN, device=images.device) * 255
    std = torch.tensor(STD, device=images.device) * 255
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


def augment(images: Tensor, *, pad: int, erase: float, generator: torch.Generator) -> Tensor:
    """Flip, shift and erase each image at random: B H W 3 uint8 -> B 3 H W float32, normalised.

    A flip has a chance of one half; the shift is a crop from the picture padded with black by
    ``pad`` pixels; ``erase`` is the chance of a rectangle set to the mean colour. The random
    numbers are drawn on the CPU, so that every device augments alike.
    """
    flipped = _flip(images, generator)
    return _erase(normalise(_shift(flipped, pad, generator)), erase, generator)


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    flip = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flip.to(images.device)[:, None, None, None], images.flip(2), images)


def _shift(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    batch, height, width, _ = images.shape
    offsets = torch.randint(0, 2 * pad + 1, (2, batch), generator=generator).to(images.device)
    padded = torch.nn.functional.pad(images, (0, 0, pad, pad, pad, pad))
    rows = offsets[0, :, None] + torch.arange(height, device=images.device)  # B H
    columns = offsets[1, :, None] + torch.arange(width, device=images.device)  # B W
    which = torch.arange(batch, device=images.device)
    return padded[which[:, None, None], rows[:, :, None], columns[:, None, :]]


def _erase(images: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    batch, _, height, width = images.shape
    u = torch.rand(5, batch, generator=generator)
    area = height * width * (ERASED_AREA[0] + u[0] * (ERASED_AREA[1] - ERASED_AREA[0]))
    low, high = torch.log(torch.tensor(ERASED_ASPECT))
    aspect = torch.exp(low + u[1] * (high - low))
    tall = (area * aspect).sqrt().clamp(max=height - 1).round()
    wide = (area / aspect).sqrt().clamp(max=width - 1).round()
    top = (u[2] * (height - tall)).floor()
    left = (u[3] * (width - wide)).floor()
    erased = u[4] < chance

    y, x = torch.arange(height), torch.arange(width)
    in_rows = (y >= top[:, None]) & (y < (top + tall)[:, None])  # B H
    in_columns = (x >= left[:, None]) & (x < (left + wide)[:, None])  # B W
    mask = in_rows[:, :, None] & in_columns[:, None, :] & erased[:, None, None]
    return images.masked_fill(mask.to(images.device)[:, None], 0.0)
