"""OSNet and the Siamese network around it.

OSNet: Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019.
BNNeck: Luo et al., "Bag of Tricks and A Strong Baseline for Deep Person Re-Identification",
CVPRW 2019.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALES = 4  # streams per block; stream t sees a (2t+1) x (2t+1) field
GATE_REDUCTION = 16


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
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
    """A residual block of SCALES streams, fused by one gate (figure 4b of the paper)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 4
        self.reduce = ConvBNReLU(inputs, middle)
        self.streams = nn.ModuleList(
            nn.Sequential(*(LiteConv3x3(middle) for _ in range(depth)))
            for depth in range(1, SCALES + 1)
        )
        self.gate = AggregationGate(middle)
        self.expand = nn.Sequential(
            nn.Conv2d(middle, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
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
    """OSNet's convolutional trunk; ``width`` scales every channel count.

    B 3 H W -> B C H/16 W/16, with C = 512 x width.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c0, c1, c2, c3 = (int(c * width) for c in (64, 256, 384, 512))
        self.channels = c3
        self.layers = nn.Sequential(
            ConvBNReLU(3, c0, kernel=7, stride=2),
            nn.MaxPool2d(3, stride=2, padding=1),
            OSBlock(c0, c1),
            OSBlock(c1, c1),
            ConvBNReLU(c1, c1),
            nn.AvgPool2d(2),
            OSBlock(c1, c2),
            OSBlock(c2, c2),
            ConvBNReLU(c2, c2),
            nn.AvgPool2d(2),
            OSBlock(c2, c3),
            OSBlock(c3, c3),
            ConvBNReLU(c3, c3),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return features


class Outputs(NamedTuple):
    """What a training step needs of a batch of B images."""

    features: Tensor  # B C, before the BNNeck: the metric loss compares these
    embeddings: Tensor  # B C, after it: what is searched with, by cosine
    logits: Tensor  # B identities


class Siamese(nn.Module):
    """Twin branches with shared weights, and an identity classifier beside them.

    Every image of a P x K batch passes through the one ``trunk``: the branches of each pair and
    triplet that the metric loss forms in the batch are the same weights. The BNNeck keeps the
    space of the metric loss (before it) apart from that of the classifier (after it).
    """

    def __init__(self, *, identities: int, width: float = 1.0) -> None:
        super().__init__()
        self.trunk = OSNet(width)
        self.dimension = self.trunk.channels
        self.neck = nn.BatchNorm1d(self.dimension)
        self.neck.bias.requires_grad_(False)  # keeps embeddings centred, as cosine wants them
        self.classifier = nn.Linear(self.dimension, identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def features(self, images: Tensor) -> Tensor:
        """B 3 H W -> B C, averaged over the image."""
        maps: Tensor = self.trunk(images)
        return maps.float().mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings: B 3 H W, normalised -> B C, not yet of unit length."""
        embeddings: Tensor = self.neck(self.features(images))
        return embeddings

    def training_outputs(self, images: Tensor) -> Outputs:
        """B 3 H W -> features, embeddings and logits."""
        features = self.features(images)
        embeddings = self.neck(features)
        return Outputs(features, embeddings, self.classifier(embeddings))
