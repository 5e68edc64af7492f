"""Residual networks whose four stages are part of the output."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock

from reff_bench.models.output import Backbone, Output

SMALL_CHANNELS = (16, 32, 48, 64)
SMALL_STRIDES = (1, 2, 1, 1)


class StagedResNet(Backbone):
    """A residual network under torchvision's names, so that its weights fit."""

    classifier_names = ("fc.weight", "fc.bias")

    def __init__(
        self,
        conv1: nn.Conv2d,
        maxpool: nn.Module,
        layers: Sequence[nn.Module],
        num_classes: int,
    ) -> None:
        """Take the stem's convolution and pooling and four stages; add the head of K.

        A stem that shrinks no map has `nn.Identity()` for pooling.
        """
        super().__init__()
        self.conv1 = conv1
        self.bn1 = nn.BatchNorm2d(conv1.out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.fc = nn.Linear(_width(self.layer4), num_classes)

    @property
    def num_features(self) -> int:
        """The channels of the last stage."""
        return self.fc.in_features

    def stem(self, x: Tensor) -> Tensor:
        """The map of (N, 3, H, W) images that enters stage 1."""
        out: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return out

    def classify(self, features: Tensor) -> Tensor:
        """Global average pooling and the linear layer: (N, K) float logits."""
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits

    def early_stages(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of stages 1 to 3, by name."""
        stages: dict[str, Tensor] = {}
        x = self.stem(x)
        for number, layer in enumerate((self.layer1, self.layer2, self.layer3), 1):
            x = layer(x)
            stages[f"stage{number}"] = x
        return stages

    def last_stage(self, features: Tensor) -> Tensor:
        """Stage 4's map of stage 3's."""
        out: Tensor = self.layer4(features)
        return out

    def last_stage_modules(self) -> nn.Module:
        """What `last_stage` runs, to be copied."""
        return self.layer4

    def forward(self, x: Tensor) -> Output:
        """Classify (N, 3, H, W) float images, normalized."""
        stages = self.early_stages(x)
        stages["stage4"] = self.last_stage(stages["stage3"])
        return Output(self.classify(stages["stage4"]), stages)


def initialize(module: nn.Module) -> None:
    """Draw convolutions in place as torchvision's ResNets do (He et al. 2015, fan out).

    Of a convolution in groups, what one input reaches is the fan out of its group.
    """
    for one in module.modules():
        if isinstance(one, nn.Conv2d):
            nn.init.kaiming_normal_(one.weight, mode="fan_out", nonlinearity="relu")
            if one.groups > 1:
                one.weight.data *= one.groups**0.5


def _width(layer: nn.Module) -> int:
    """The channels that a stage gives: those of its last BatchNorm."""
    norms = [one for one in layer.modules() if isinstance(one, nn.BatchNorm2d)]
    return norms[-1].num_features


def _torchvision(build: Callable[..., models.ResNet]) -> Callable[[int], StagedResNet]:
    def staged(num_classes: int) -> StagedResNet:
        network = build(weights=None)
        layers = (network.layer1, network.layer2, network.layer3, network.layer4)
        return StagedResNet(network.conv1, network.maxpool, layers, num_classes)

    return staged


def resnet_small(num_classes: int) -> StagedResNet:
    """Ours: one basic block per stage; 32 px end on 8 x 8, 56 px on 14 x 14.

    A stem of stride 2 and one more stride keep the last map large: a mask pooled to
    fewer runs would call nearly everything relevant. All channels are multiples of 16,
    the block in which a CPU's second-order convolutions are fast.
    """
    incoming = (SMALL_CHANNELS[0], *SMALL_CHANNELS)
    shapes = zip(incoming, SMALL_CHANNELS, SMALL_STRIDES, strict=False)
    layers = [nn.Sequential(_block(*shape)) for shape in shapes]
    conv1 = nn.Conv2d(3, incoming[0], 3, stride=2, padding=1, bias=False)
    network = StagedResNet(conv1, nn.Identity(), layers, num_classes)
    initialize(network)
    return network


def _block(incoming: int, channels: int, stride: int) -> BasicBlock:
    if (incoming, stride) == (channels, 1):
        return BasicBlock(channels, channels)
    shortcut = nn.Conv2d(incoming, channels, 1, stride=stride, bias=False)
    downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels))
    return BasicBlock(incoming, channels, stride, downsample)


resnet18 = _torchvision(models.resnet18)
resnet34 = _torchvision(models.resnet34)
resnet50 = _torchvision(models.resnet50)
resnet101 = _torchvision(models.resnet101)
