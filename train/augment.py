"""Augmentation as batched tensor operations, on the device where the images lie."""

import torch
from torch import Tensor
from torch.nn import functional as F

# ImageNet's statistics: the field's habit, kept so that published encoders compare.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

ERASED_AREA = (0.02, 0.4)  # share of the picture, Zhong et al., "Random Erasing", AAAI 2020
ERASED_ASPECT = (0.3, 1 / 0.3)  # height over width

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601's weights of red, green and blue
BLUR_PIXELS = 1.5  # the largest standard deviation of a blur
BLUR_RADIUS = 4


def normalise(images: Tensor) -> Tensor:
    """B H W 3 uint8 -> B 3 H W float32 in channels-last memory, with MEAN and STD."""
    return _normalise(images.float())


def _normalise(images: Tensor) -> Tensor:
    mean = torch.tensor(MEAN, device=images.device) * 255
    std = torch.tensor(STD, device=images.device) * 255
    return ((images - mean) / std).permute(0, 3, 1, 2)


def augment(
    images: Tensor,
    *,
    pad: int,
    erase: float,
    generator: torch.Generator,
    jitter: float = 0.0,
    grey: float = 0.0,
    blur: float = 0.0,
) -> Tensor:
    """Change each image at random: B H W 3 uint8 -> B 3 H W float32, normalised.

    A flip has a chance of one half; the shift is a crop from the picture padded with black by
    ``pad`` pixels; ``jitter`` is how far colours stray (see ``recolour``), ``grey`` the chance of
    losing them; ``blur`` is the chance of a blur, ``erase`` that of a rectangle set to the mean
    colour. The random numbers are drawn on the CPU, so that every device augments alike.
    """
    shifted = _shift(_flip(images, generator), pad, generator).float()
    if jitter or grey:
        shifted = recolour(shifted, jitter, grey, generator)
    if blur:
        shifted = soften(shifted, blur, generator)
    return _erase(_normalise(shifted), erase, generator)


def recolour(images: Tensor, jitter: float, grey: float, generator: torch.Generator) -> Tensor:
    """Another camera's colours for each image: B H W 3 float32, 0 to 255, to the same.

    One matrix and one offset for each image: its hues turned by up to ``jitter`` eighths of a
    circle, its saturation times 1 +- ``jitter`` (times 0 with a chance of ``grey``), each channel
    times 1 +- half of ``jitter`` (a white balance), all of them times 1 +- ``jitter``
    (brightness), their distance from the mean brightness times 1 +- ``jitter`` (contrast).
    """
    batch = len(images)
    stray = 1 + jitter * (2 * torch.rand(7, batch, generator=generator) - 1)
    saturation = stray[0].where(torch.rand(batch, generator=generator) >= grey, 0.0)
    gains = stray[1, :, None] * (1 + stray[2:5].T) / 2  # B 3
    luma = torch.tensor(LUMA)
    saturate = saturation[:, None, None] * torch.eye(3) + (1 - saturation)[:, None, None] * luma
    matrix = gains[:, :, None] * saturate @ hue_turns((stray[5] - 1) * torch.pi / 4)
    matrix, contrast, luma = (t.to(images.device) for t in (matrix, stray[6], luma))

    colours = images.flatten(1, 2) @ matrix.mT  # B HW 3
    brightness = (colours.mean(1) @ luma)[:, None, None]
    contrasted = brightness + contrast[:, None, None] * (colours - brightness)
    return contrasted.clamp(0, 255).view_as(images)


def hue_turns(angles: Tensor) -> Tensor:
    """Rotations about the axis of greys, B angles in radians -> B 3 3 (Rodrigues' formula)."""
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    sine, cosine = angles.sin()[:, None, None], angles.cos()[:, None, None]
    return torch.eye(3) + sine * across + (1 - cosine) * across @ across


def soften(images: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """A Gaussian blur of up to BLUR_PIXELS for some: a picture that was small or out of focus."""
    u = torch.rand(2, len(images), generator=generator)
    chosen = (u[0] < chance).nonzero().flatten().to(images.device)
    if not len(chosen):
        return images
    pixels = (BLUR_PIXELS * u[1]).clamp(min=0.1).to(images.device)[chosen]  # n
    steps = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=images.device)
    kernel = torch.exp(-0.5 * (steps / pixels[:, None]).square())
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # 3n taps
    maps = images[chosen].permute(0, 3, 1, 2).flatten(0, 1)[None]  # 1 3n H W
    maps = F.pad(maps, (BLUR_RADIUS,) * 4, mode="replicate")
    maps = F.conv2d(maps, kernel[:, None, :, None], groups=len(kernel))
    maps = F.conv2d(maps, kernel[:, None, None, :], groups=len(kernel))
    blurred = images.clone()
    blurred[chosen] = maps[0].unflatten(0, (-1, 3)).permute(0, 2, 3, 1)
    return blurred


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    flip = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flip.to(images.device)[:, None, None, None], images.flip(2), images)


def _shift(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    batch, height, width, _ = images.shape
    offsets = torch.randint(0, 2 * pad + 1, (2, batch), generator=generator).to(images.device)
    padded = F.pad(images, (0, 0, pad, pad, pad, pad))
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
