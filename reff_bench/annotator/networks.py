"""The two networks of pix2pix: `UNetGenerator` and `PatchDiscriminator`."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from reff_bench.annotator.options import Norm, Size, check_discriminator, check_downs

WIDEST = 8  # times the base channels: pix2pix widens no further
DISCRIMINATOR_STRIDES = (2, 2, 2, 1, 1)


class UNetGenerator(nn.Module):
    """Image to mask: 4 x 4 stride-2 convolutions down and up again, with skips.

    [other] pix2pix's generator: channels double up to eight times the base; LeakyReLU
    0.2 on the way down, ReLU on the way up, normalization in every block but the first,
    the innermost and the last, Tanh. No dropout: the authors' PyTorch code has it only
    beyond five downs, and the masks shall be deterministic.
    """

    def __init__(
        self, downs: int, base_channels: int = 64, norm: Norm = "batch"
    ) -> None:
        """Build the layers: so many halvings, the first block of `base_channels`."""
        super().__init__()
        widths = [min(2**depth, WIDEST) * base_channels for depth in range(downs)]
        self.downs = nn.ModuleList(
            _down(before, after, norm if 0 < depth < downs - 1 else None)
            for depth, (before, after) in enumerate(pairwise([3, *widths]))
        )
        self.ups = nn.ModuleList(
            _up(
                widths[depth] * (1 if depth == downs - 1 else 2),
                widths[depth - 1] if depth else 1,
                norm if depth else None,
            )
            for depth in reversed(range(downs))
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return the masks, (N, 1, H, W) in [-1, 1], of images (N, 3, H, W) in [-1, 1].

        Raises:
            AnnotatorError: H or W isn't a multiple of `2**downs`.
        """
        check_downs(len(self.downs), (image.shape[-2], image.shape[-1]))
        skips = []
        x = image
        for down in self.downs:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in self.ups:
            x = up(x)
            x = torch.cat([skips.pop(), x], dim=1) if skips else x
        return torch.tanh(x)


class PatchDiscriminator(nn.Module):
    """Judge patches of 70 x 70 px of image and mask: the annotator's or a person's.

    [paper] five convolutions with 64, 128, 256, 512 and 1 channels (scaled by
    `base_channels / 64`). [other] pix2pix's: 4 x 4, strides 2 2 2 1 1, padding 1,
    normalization on the middle three, LeakyReLU 0.2; 26 x 26 judgments at 224 px. In
    images below 70 px each patch is the whole image.
    """

    def __init__(self, base_channels: int = 64, norm: Norm = "batch") -> None:
        """Build the layers, of which the middle three are normalized."""
        super().__init__()
        widths = [base_channels * 2**depth for depth in range(4)]
        layers: list[nn.Module] = []
        for depth, (before, after) in enumerate(pairwise([4, *widths, 1])):
            middle = 0 < depth < 4
            stride = DISCRIMINATOR_STRIDES[depth]
            bias = not middle or norm == "instance"
            layers.append(nn.Conv2d(before, after, 4, stride, 1, bias=bias))
            layers.extend([_normalization(after, norm)] if middle else [])
            layers.extend([nn.LeakyReLU(0.2)] if depth < 4 else [])
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Return one logit per patch, high where the mask looks like a person's.

        Of images (N, 3, H, W) and masks (N, 1, H, W), both in [-1, 1], they are
        (N, 1, h, w) with h = H / 8 - 2 (rounded down), w alike.

        Raises:
            AnnotatorError: H or W is under 24 px.
        """
        check_discriminator((image.shape[-2], image.shape[-1]))
        logits: Tensor = self.layers(torch.cat([image, mask], dim=1))
        return logits


def initialize(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights again, in place, as pix2pix does [other].

    Convolutions from N(0, 0.02), BatchNorm's weights from N(1, 0.02), biases 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
            nn.init.zeros_(module.bias)


def image_size(images: Tensor) -> Size:
    """Return the height and width of a batch (..., H, W)."""
    return images.shape[-2], images.shape[-1]


def _normalization(channels: int, norm: Norm) -> nn.Module:
    # Like pix2pix's: InstanceNorm has neither weights nor running statistics.
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.InstanceNorm2d(channels)


def _down(before: int, after: int, norm: Norm | None) -> nn.Sequential:
    first = before == 3
    convolution = nn.Conv2d(before, after, 4, 2, 1, bias=norm != "batch")
    return nn.Sequential(
        *([] if first else [nn.LeakyReLU(0.2)]),
        convolution,
        *([] if norm is None else [_normalization(after, norm)]),
    )


def _up(before: int, after: int, norm: Norm | None) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.ConvTranspose2d(before, after, 4, 2, 1, bias=norm != "batch"),
        *([] if norm is None else [_normalization(after, norm)]),
    )
