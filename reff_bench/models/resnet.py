"""Residual networks whose four stages are part of the output."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock

from reff_bench.models.weights import ModelError, load_weights

__all__ = [
    "BACKBONES",
    "Output",
    "StagedResNet",
    "build_backbone",
    "initialize",
    "seeded",
]

SMALL_CHANNELS = (16, 32, 48, 64)
SMALL_STRIDES = (1, 2, 1, 1)


@dataclass(frozen=True, slots=True)
class Output:
    """What a model says of N images.

    Attributes:
        logits: (N, K) float, the prediction.
        stages: "stage1" ... "stage4" -> (N, C, h, w) float, with their graph.
        attention: (N, 1, h, w) float in (0, 1), ABN's map.
        attention_logits: (N, K) float, the label head of ABN's attention branch.
    """

    logits: Tensor
    stages: dict[str, Tensor]
    attention: Tensor | None = None
    attention_logits: Tensor | None = None


class StagedResNet(nn.Module):
    """A residual network under torchvision's names, so that its weights fit."""

    def __init__(
        self,
        conv1: nn.Conv2d,
        maxpool: nn.Module,
        layers: Sequence[nn.Module],
        num_classes: int,
    ) -> None:
        """Take the parts and add the head.

        Args:
            conv1: The stem's convolution, 3 channels in.
            maxpool: What shrinks the stem's map (nothing: `nn.Identity()`).
            layers: The four stages.
            num_classes: K.
        """
        super().__init__()
        self.conv1 = conv1
        self.bn1 = nn.BatchNorm2d(conv1.out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.fc = nn.Linear(_width(self.layer4), num_classes)

    def stem(self, x: Tensor) -> Tensor:
        """The map that enters stage 1.

        Args:
            x: (N, 3, H, W) float.
        """
        out: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Global average pooling and the linear layer.

        Args:
            features: (N, C, h, w) float, the last stage's output.

        Returns:
            (N, K) float logits.
        """
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits

    def forward(self, x: Tensor) -> Output:
        """Classify images.

        Args:
            x: (N, 3, H, W) float, normalised.
        """
        stages: dict[str, Tensor] = {}
        x = self.stem(x)
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        for number, layer in enumerate(layers, start=1):
            x = layer(x)
            stages[f"stage{number}"] = x
        return Output(self.classify(x), stages)


def build_backbone(
    name: str,
    num_classes: int,
    *,
    weights: str | None = None,
    seed: int | None = None,
) -> StagedResNet:
    """A network of `BACKBONES`, its weights drawn or read.

    A head that was made for another number of classes is replaced by a fresh one.

    Args:
        name: A key of `BACKBONES`.
        num_classes: K, 1 or more.
        weights: None (drawn), "imagenet" (torchvision's IMAGENET1K_V1: what
            `pretrained=True` meant in 2022 [assumed]) or the path of a state dict.
        seed: Draw from this seed and leave torch's global state alone; None draws from
            the global state.

    Raises:
        ModelError: If the name is unknown, or the weights can't be had or don't fit.
            Weights that can't be had never become a silent start from scratch.
    """
    if name not in BACKBONES:
        raise ModelError(f"backbone is {name!r}; allowed: {', '.join(BACKBONES)}")
    if num_classes < 1:
        raise ModelError(f"num_classes is {num_classes}; allowed: 1 or more")
    with seeded(seed):
        net = BACKBONES[name](num_classes)
    if weights is not None:
        load_weights(net, name, weights)
    return net


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw on the CPU from a seed inside the block; None changes nothing.

    Args:
        seed: Any 64-bit integer.
    """
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def initialize(module: nn.Module) -> None:
    """Draw convolutions as torchvision's ResNets do (He et al. 2015, fan out).

    Args:
        module: Changed in place; all but its convolutions is left alone.
    """
    for one in module.modules():
        if isinstance(one, nn.Conv2d):
            nn.init.kaiming_normal_(one.weight, mode="fan_out", nonlinearity="relu")


def _width(layer: nn.Module) -> int:
    """The channels that a stage gives: those of its last BatchNorm."""
    norms = [one for one in layer.modules() if isinstance(one, nn.BatchNorm2d)]
    return norms[-1].num_features


def _torchvision(build: Callable[..., models.ResNet]) -> Callable[[int], StagedResNet]:
    def staged(num_classes: int) -> StagedResNet:
        net = build(weights=None)
        layers = (net.layer1, net.layer2, net.layer3, net.layer4)
        return StagedResNet(net.conv1, net.maxpool, layers, num_classes)

    return staged


def _small(num_classes: int) -> StagedResNet:
    """Ours: one basic block per stage; 32 px end on 8 x 8, 56 px on 14 x 14.

    A stem of stride 2 and one more stride keep the last map large: a mask pooled to
    fewer cells would call nearly everything relevant. All channels are multiples of 16,
    the block in which a CPU's second-order convolutions are fast.
    """
    incoming = (SMALL_CHANNELS[0], *SMALL_CHANNELS)
    shapes = zip(incoming, SMALL_CHANNELS, SMALL_STRIDES, strict=False)
    layers = [nn.Sequential(_block(*shape)) for shape in shapes]
    conv1 = nn.Conv2d(3, incoming[0], 3, stride=2, padding=1, bias=False)
    net = StagedResNet(conv1, nn.Identity(), layers, num_classes)
    initialize(net)
    return net


def _block(incoming: int, channels: int, stride: int) -> BasicBlock:
    if (incoming, stride) == (channels, 1):
        return BasicBlock(channels, channels)
    shortcut = nn.Conv2d(incoming, channels, 1, stride=stride, bias=False)
    downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))
    return BasicBlock(incoming, channels, stride, downsample)


BACKBONES: Mapping[str, Callable[[int], StagedResNet]] = {
    "resnet_small": _small,
    "resnet18": _torchvision(models.resnet18),
    "resnet34": _torchvision(models.resnet34),
    "resnet50": _torchvision(models.resnet50),
    "resnet101": _torchvision(models.resnet101),
}
