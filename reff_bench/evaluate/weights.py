"""Weights from a file of anyone's, into a model: `read_weights`, `fill_model`."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reff_bench.results import CellError

NESTED = ("model", "state_dict")  # where others keep the weights in their checkpoints
WRAPPED = "module."  # what DataParallel puts before every name


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return a state dict from a file, read with `weights_only=True`.

    Args:
        path: a state dict, or a mapping that holds one under `model` or `state_dict`.

    Raises:
        CellError: there is no such file, or it holds no weights.
    """
    if not path.is_file():
        raise CellError(f"no file {path}; give a checkpoint or a state dict")
    content: Any
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        content = None
    for name in NESTED:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise CellError(
            f"{path} holds no weights; give a state dict, as "
            "torch.save(model.state_dict(), path) writes it (it is read with "
            "weights_only=True)"
        )
    return {str(name).removeprefix(WRAPPED): value for name, value in content.items()}


def fill_model(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Put weights into a model.

    Args:
        model: changed in place.
        weights: by name.
        path: whence they came, for the error.

    Raises:
        CellError: they don't fit.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CellError(
            f"the weights in {path} don't fit this cell's model: {lines[-1]}; give "
            "weights of the same method, backbone and classes"
        ) from None
