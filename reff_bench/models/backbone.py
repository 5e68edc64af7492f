"""The backbones by name, their weights drawn or read: `build_backbone`."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from reff_bench.catalog.backbones import check_backbone, find_backbone
from reff_bench.catalog.find import CatalogError
from reff_bench.models.output import Backbone, ModelError
from reff_bench.models.weights import load_weights


def build_backbone(
    name: str, num_classes: int, *, weights: str | None = None, seed: int | None = None
) -> nn.Module:
    """A network by its name, its weights drawn or read.

    A head that was made for another number of classes is replaced by a fresh one.

    Examples:
        >>> import torch
        >>> from reff_bench import build_backbone
        >>> network = build_backbone("timm/mobilenetv2_050", 10)
        >>> network(torch.zeros(1, 3, 64, 64)).stages["stage4"].shape
        torch.Size([1, 1280, 2, 2])

    Args:
        name: A name that `reff_bench.catalog.backbones.find_backbone` knows.
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
    try:
        spec = find_backbone(check_backbone(name))
    except CatalogError as error:
        raise ModelError(str(error)) from None
    with seeded(seed):
        network = spec.build(num_classes)
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"backbone {name} gave a {type(network).__name__}; it should be a "
            "torch.nn.Module"
        )
    if weights is not None:
        load_weights(network, name, weights, getattr(network, "classifier_names", ()))
    return network


def build_staged(
    name: str, num_classes: int, *, weights: str | None = None
) -> Backbone:
    """A network of `build_backbone` whose last stage can be copied and run by itself.

    Raises:
        ModelError: As `build_backbone`, or the network can't do that.
    """
    network = build_backbone(name, num_classes, weights=weights)
    if not isinstance(network, Backbone):
        raise ModelError(
            f"backbone {name} is a {type(network).__name__}, whose last stage can't be "
            "run by itself; it should be a reff_bench.models.Backbone"
        )
    return network


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Draw on the CPU from a seed inside the block; None changes nothing."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
