"""OSNet and the Siamese network around it.

OSNet: Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019.
BNNeck: Luo et al., "Bag of Tricks and A Strong Baseline for Deep Person Re-Identification",
CVPRW 2019.
Heads at every stage, after PFH-OSNet: label-smoothed cross-entropy and triplets on each.
Instance norm where OSNet-AIN has it: Zhou et al., "Learning Generalisable Omni-Scale
Representations for Person Re-Identification", TPAMI 2021.
Mixed styles: Zhou et al., "Domain Generalization with MixStyle", ICLR 2021.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALES = 4  # streams per block; stream t sees a (2t+1) x (2t+1) field
GATE_REDUCTION = 16
EMBEDDED = slice(1, None)  # of the heads at earlier stages
MIXED_STAGES = 2  # whose maps may trade styles, from the first
STYLES_MIXED = 0.1  # Beta's parameter: most mixtures are nearly one of the two styles
LEAST_VARIANCE = 1e-6


def norm(channels: int, *, instance: bool) -> nn.Module:
    """Batch norm, or instance norm with the same scales and shifts.

    Instance norm takes each map's mean and spread out of every image by itself: what a camera's
    colours and contrast leave in them, and a little of what people wear.
    """
    if instance:
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.BatchNorm2d(channels)


def mix_styles(maps: Tensor) -> Tensor:
    """Give each image's maps a mixture of its own style and another one's: B C H W to the same.

    A style is each map's mean and standard deviation, what cameras and light leave in it. No
    gradient flows through styles. Draws from PyTorch's generator of the CPU.
    """
    style = maps.detach().float()
    variance, mean = torch.var_mean(style, (2, 3), keepdim=True, correction=0)
    deviation = (variance + LEAST_VARIANCE).sqrt()
    share = torch.distributions.Beta(STYLES_MIXED, STYLES_MIXED).sample((len(maps), 1, 1, 1))
    share = share.to(maps.device)
    other = torch.randperm(len(maps)).to(maps.device)
    scale = share + (1 - share) * deviation[other] / deviation
    shift = share * mean + (1 - share) * mean[other] - scale * mean
    return maps * scale.to(maps.dtype) + shift.to(maps.dtype)


class ConvNormReLU(nn.Sequential):
    """Convolution without bias, batch or instance norm, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        instance: bool = False,
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            norm(outputs, instance=instance),
            nn.ReLU(inplace=True),
        )


class LiteConv3x3(nn.Sequential):
    """A 3 x 3 convolution factored into point-wise, then depth-wise, without a ReLU between."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class AggregationGate(nn.Module):
    """One weight per channel and image, shared by all streams of a block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // GATE_REDUCTION, 1)
        self.excite = nn.Conv2d(channels // GATE_REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:  # B C H W
        weights = x.mean((2, 3), keepdim=True)  # B C 1 1
        weights = torch.sigmoid(self.excite(F.relu(self.squeeze(weights))))
        return x * weights


class OSBlock(nn.Module):
    """A residual block of SCALES streams, fused by one gate (figure 4b of the paper).

    With ``instance``, what it adds to its input is normalised for each image by itself.
    """

    def __init__(self, inputs: int, outputs: int, *, instance: bool = False) -> None:
        super().__init__()
        middle = outputs // 4
        self.reduce = ConvNormReLU(inputs, middle)
        self.streams = nn.ModuleList(
            nn.Sequential(*(LiteConv3x3(middle) for _ in range(depth)))
            for depth in range(1, SCALES + 1)
        )
        self.gate = AggregationGate(middle)
        self.expand = nn.Sequential(
            nn.Conv2d(middle, outputs, 1, bias=False), norm(outputs, instance=instance)
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:  # B inputs H W -> B outputs H W
        reduced = self.reduce(x)
        fused = self.gate(self.streams[0](reduced))
        for stream in self.streams[1:]:
            fused = fused + self.gate(stream(reduced))
        return F.relu(self.expand(fused) + self.shortcut(x))


class OSNet(nn.Module):
    """OSNet's convolutional trunk; ``width`` scales every channel count, ``instance`` makes it
    OSNet-AIN's, ``mix_styles`` is the chance that a batch in training trades styles.

    Yields the maps of its four last stages, of ``channels`` channels, for B 3 H W images:
    256 at H/4 W/4, 384 at H/8 W/8, 512 and 512 at H/16 W/16 (times ``width``).
    """

    def __init__(
        self, width: float = 1.0, *, instance: bool = False, mix_styles: float = 0.0
    ) -> None:
        super().__init__()
        self.mix_styles = mix_styles
        c0, c1, c2, c3 = (int(c * width) for c in (64, 256, 384, 512))
        self.channels = (c1, c2, c3, c3)
        self.stem = nn.Sequential(
            ConvNormReLU(3, c0, kernel=7, stride=2, instance=instance),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages = nn.ModuleList(
            [
                nn.Sequential(
                    OSBlock(c0, c1, instance=instance),
                    OSBlock(c1, c1, instance=instance),
                    ConvNormReLU(c1, c1),
                ),
                nn.Sequential(
                    nn.AvgPool2d(2),
                    OSBlock(c1, c2),
                    OSBlock(c2, c2, instance=instance),
                    ConvNormReLU(c2, c2),
                ),
                nn.Sequential(nn.AvgPool2d(2), OSBlock(c2, c3, instance=instance), OSBlock(c3, c3)),
                ConvNormReLU(c3, c3),
            ]
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images)
        mixing = self.training and float(torch.rand(())) < self.mix_styles
        maps = []
        for at, stage in enumerate(self.stages):
            x = stage(x)
            if mixing and at < MIXED_STAGES:
                x = mix_styles(x)
            maps.append(x)
        return maps


class Outputs(NamedTuple):
    """What a training step needs of one head, for a batch of B images."""

    features: Tensor  # B C, before the BNNeck: the metric loss compares these
    logits: Tensor  # B identities, after it


class Head(nn.Module):
    """One part of the embedding: maps averaged over the image, a BNNeck, a classifier.

    The BNNeck keeps the space of the metric loss (before it) apart from that of the classifier
    (after it). Where the maps have other than C channels, a 1 x 1 convolution comes first.
    """

    def __init__(self, channels: int, c: int, *, identities: int) -> None:
        super().__init__()
        self.project = nn.Identity() if c == channels else ConvNormReLU(channels, c)
        self.neck = nn.BatchNorm1d(c)
        self.neck.bias.requires_grad_(False)  # keeps embeddings centred, as cosine wants them
        self.classifier = nn.Linear(c, identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def features(self, maps: Tensor) -> Tensor:  # B channels H W -> B C
        projected: Tensor = self.project(maps)
        return projected.float().mean((2, 3))

    def forward(self, maps: Tensor) -> Tensor:
        """The head's part of the embedding: B channels H W -> B C of unit length."""
        return F.normalize(self.neck(self.features(maps)))

    def training_outputs(self, maps: Tensor) -> Outputs:
        """B channels H W -> features and logits."""
        features = self.features(maps)
        return Outputs(features, self.classifier(self.neck(features)))


class Siamese(nn.Module):
    """Twin branches with shared weights, and identity classifiers beside them.

    Every image of a P x K batch passes through the one ``trunk``: the branches of each pair and
    triplet that the metric loss forms in the batch are the same weights. The main head reads the
    last stage; with ``side`` > 0 each earlier stage has a head of ``side`` features, too, which
    trains the layers below it directly; with ``stripes`` > 0 that many heads of ``stripe``
    features see one equal band each of the last stage's maps, from the top down (after PCB: Sun
    et al., "Beyond Part Models", ECCV 2018). The embedding is the main head's part, followed by
    those of the stages in EMBEDDED and of the stripes: the first stage's features help training,
    not search. With ``layer`` > 0 a linear layer makes as many features of that, at unit length; it
    is fitted, not trained (see ``projection``).
    """

    def __init__(
        self,
        *,
        identities: int,
        width: float = 1.0,
        side: int = 0,
        stripes: int = 0,
        stripe: int = 0,
        instance: bool = False,
        mix_styles: float = 0.0,
        layer: int = 0,
    ) -> None:
        super().__init__()
        self.trunk = OSNet(width, instance=instance, mix_styles=mix_styles)
        *earlier, last = self.trunk.channels
        self.main = Head(last, last, identities=identities)
        self.sides = nn.ModuleList(
            Head(channels, side, identities=identities) for channels in earlier if side
        )
        self.stripes = nn.ModuleList(
            Head(last, stripe, identities=identities) for _ in range(stripes)
        )
        embedded_sides = len(self.sides[EMBEDDED]) if side else 0
        heads = last + side * embedded_sides + stripe * stripes
        self.layer = nn.Linear(heads, layer) if layer else None
        self.dimension = layer or heads

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings: B 3 H W, normalised -> B D, each head's part of unit length where no layer
        follows."""
        (main, last), *others = self._heads(images)
        embedded = others[EMBEDDED] if len(self.sides) else others
        parts = torch.cat([main(last), *(head(maps) for head, maps in embedded)], dim=1)
        if self.layer is None:
            return parts
        made: Tensor = self.layer(F.normalize(parts))
        return made

    def parts(self, images: Tensor) -> list[Tensor]:
        """Each head's part, B 3 H W -> B C of unit length: main head, stages, stripes."""
        return [head(maps) for head, maps in self._heads(images)]

    def training_outputs(self, images: Tensor) -> list[Outputs]:
        """B 3 H W -> the outputs of each head, the main one first."""
        return [head.training_outputs(maps) for head, maps in self._heads(images)]

    def _heads(self, images: Tensor) -> list[tuple[Any, Tensor]]:
        """Each head with the maps it reads: the main one, the sides, the stripes."""
        *earlier, last = self.trunk(images)
        bands = last.chunk(len(self.stripes), dim=2) if len(self.stripes) else ()
        return [
            (self.main, last),
            *zip(self.sides, earlier, strict=False),
            *zip(self.stripes, bands, strict=True),
        ]
