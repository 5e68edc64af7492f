"""Weights for a network: torchvision's ImageNet ones, or a file."""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor, hub, nn
from torchvision import models

__all__ = ["IMAGENET", "ModelError", "load_weights"]

LOG = logging.getLogger(__name__)

# [assumed] The version that `pretrained=True` meant in 2022; [paper] says only
# "torchvision's ImageNet weights".
IMAGENET: Mapping[str, models.WeightsEnum] = {
    "resnet18": models.ResNet18_Weights.IMAGENET1K_V1,
    "resnet34": models.ResNet34_Weights.IMAGENET1K_V1,
    "resnet50": models.ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": models.ResNet101_Weights.IMAGENET1K_V1,
}


class ModelError(ValueError):
    """A model that can't be built as asked."""


def load_weights(net: nn.Module, name: str, weights: str) -> None:
    """Fill a network; a head for another number of classes is left as it was drawn.

    Args:
        net: Changed in place; its head is `fc`.
        name: The backbone's name, a key of `IMAGENET` if those weights are asked.
        weights: "imagenet" or the path of a state dict.

    Raises:
        ModelError: If the weights can't be had, or don't fit the network.
    """
    state = _imagenet(name) if weights == "imagenet" else _read(weights)
    kept = _without_foreign_head(state, net, weights)
    missing, unexpected = _names(net, kept)
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    wrong = [
        f"{key} {tuple(value.shape)} instead of {shapes[key]}"
        for key, value in kept.items()
        if key in shapes and tuple(value.shape) != shapes[key]
    ]
    if missing or unexpected or wrong:
        raise ModelError(
            f"the weights {weights} don't fit {name}: {len(missing)} missing, "
            f"{len(unexpected)} unknown, {len(wrong)} of another shape, such as "
            f"{[*wrong, *missing, *unexpected][0]}; give a state dict of {name}"
        )
    net.load_state_dict(kept, strict=False)


def _imagenet(name: str) -> dict[str, Tensor]:
    if name not in IMAGENET:
        raise ModelError(
            f"there are no ImageNet weights for {name}; allowed: "
            f"{', '.join(IMAGENET)}; or give the path of a state dict"
        )
    enum = IMAGENET[name]
    try:
        state: dict[str, Tensor] = dict(
            enum.get_state_dict(progress=False, check_hash=True)
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        place = Path(hub.get_dir()) / "checkpoints" / Path(urlparse(enum.url).path).name
        raise ModelError(
            f"the ImageNet weights of {name} are not in {place} and could not be "
            f"downloaded or read ({error}); put {enum.url} there, or give the path of "
            "a state dict, or ask for no weights"
        ) from error
    return state


def _read(path: str) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise ModelError(
            f"there is no weights file {path}; allowed: imagenet, the path of a state "
            "dict, or none"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"the weights file {path} can't be read; give a state dict written by "
            "torch.save (it is loaded with weights_only=True)"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise ModelError(
            f"the weights file {path} holds no state dict; give a dict of names and "
            "tensors, as model.state_dict() makes it"
        )
    return state


def _without_foreign_head(
    state: dict[str, Tensor], net: nn.Module, weights: str
) -> dict[str, Tensor]:
    own = net.state_dict()["fc.weight"]
    theirs = state.get("fc.weight")
    if theirs is None or len(theirs) == len(own):
        return state
    LOG.log(
        logging.INFO if weights == "imagenet" else logging.WARNING,
        "the weights %s are for %d classes; the head starts afresh for %d",
        weights,
        len(theirs),
        len(own),
    )
    fresh = {key: net.state_dict()[key] for key in ("fc.weight", "fc.bias")}
    return {**state, **fresh}


def _names(net: nn.Module, state: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Names that the state lacks, and names that the network lacks.

    Old files have no count of BatchNorm's batches, and need none.
    """
    own = net.state_dict()
    missing = [
        key
        for key in own
        if key not in state and not key.endswith("num_batches_tracked")
    ]
    return missing, [key for key in state if key not in own]
