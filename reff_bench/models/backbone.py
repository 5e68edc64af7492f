"""The backbones by name, their weights drawn or read: `build_backbone`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import torch

from reff_bench.models.errors import ModelError
from reff_bench.models.resnet import RESNETS, StagedResNet
from reff_bench.models.timm_network import TimmNetwork
from reff_bench.models.weights import load_weights

__all__ = ["BACKBONES", "TIMM", "Backbone", "build_backbone", "seeded"]

Backbone: TypeAlias = StagedResNet | TimmNetwork
TIMM = "timm/"  # before the name of any network of timm

BACKBONES: Mapping[str, Callable[[int], Backbone]] = {
    **RESNETS,
    "efficientnet_lite0": partial(TimmNetwork, "tf_efficientnet_lite0"),
}


def build_backbone(
    name: str,
    num_classes: int,
    *,
    weights: str | None = None,
    seed: int | None = None,
) -> Backbone:
    """A network by its name, its weights drawn or read.

    A head that was made for another number of classes is replaced by a fresh one.

    >>> net = build_backbone("timm/mobilenetv2_050", 10)
    >>> net(torch.zeros(1, 3, 64, 64)).stages["stage4"].shape
    torch.Size([1, 1280, 2, 2])

    Args:
        name: A key of `BACKBONES`, or `timm/NAME` for a network of timm.
        num_classes: K, 1 or more.
        weights: None (drawn), "imagenet" (what they are: `load_weights`) or the path of
            a state dict.
        seed: Draw from this seed and leave torch's global state alone; None draws from
            the global state.

    Raises:
        ModelError: If the name is unknown, or the weights can't be had or don't fit.
            Weights that can't be had never become a silent start from scratch.
    """
    if num_classes < 1:
        raise ModelError(f"num_classes is {num_classes}; allowed: 1 or more")
    with seeded(seed):
        net = _build(name, num_classes)
    if weights is not None:
        load_weights(net, name, weights, net.classifier_names)
    return net


def _build(name: str, num_classes: int) -> Backbone:
    if name.startswith(TIMM):
        return TimmNetwork(name.removeprefix(TIMM), num_classes)
    if name not in BACKBONES:
        raise ModelError(
            f"backbone is {name!r}; allowed: {', '.join(BACKBONES)}, timm/NAME"
        )
    return BACKBONES[name](num_classes)


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
