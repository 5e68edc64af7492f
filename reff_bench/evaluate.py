"""One checkpoint, ours or the user's: its accuracies on every split."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reff_bench.data import Data, Split, open_data
from reff_bench.grid import Cell, derive_seed
from reff_bench.methods import find_method
from reff_bench.metrics import Accuracies, accuracies
from reff_bench.results import (
    CHECKPOINT_NAME,
    EVALUATION_NAME,
    CellError,
    CellProgress,
    Record,
    write_record,
)
from reff_bench.train import Report, find_machine, limited, load_checkpoint

SPLITS = ("val", "val_shifted", "test")
BATCH_SIZE = 256
NESTED = ("model", "state_dict")  # where others keep the weights in their checkpoints
WRAPPED = "module."  # what DataParallel puts before every name


def evaluate_cell(
    cell: Cell,
    folder: Path,
    *,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    device: str = "auto",
    report: Report | None = None,
) -> Record:
    """Evaluate a finished run and write `evaluation.json` into its folder.

    Args:
        cell: what was trained.
        folder: of the run.
        data_root: see `reff_bench.data.open_data`.
        cache_dir: see `reff_bench.data.open_data`.
        device: `auto`, `cpu`, `cuda` or one such as `cuda:1`.
        report: hears of progress.

    Returns:
        The metrics, see `evaluate_model`.

    Raises:
        CellError: there are no weights, or the training isn't finished.
    """
    if report is not None:
        report(CellProgress("evaluation", 0.97))
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        raise CellError(f"no {CHECKPOINT_NAME} in {folder}; train the cell first")
    checkpoint = load_checkpoint(path)
    if checkpoint.optimizer is not None:
        raise CellError(
            f"{path} is of a run that isn't finished (epoch {checkpoint.position.epoch}"
            f" of {cell.epochs}); run the grid again to finish it"
        )
    data = open_data(cell, data_root, cache_dir)
    metrics = _evaluate(cell, checkpoint.model, path, data, device)
    write_record(folder, metrics, EVALUATION_NAME)
    return metrics


def evaluate_checkpoint(
    path: Path,
    cell: Cell,
    *,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    device: str = "auto",
) -> Record:
    """Evaluate weights from a file: one of our checkpoints, or the user's own.

    Args:
        path: a checkpoint of ours, a state dict, or a mapping that holds one under
            `model` or `state_dict`; read with `weights_only=True`.
        cell: its method and backbone say what the weights belong to, its data on what
            to evaluate.
        data_root: see `reff_bench.data.open_data`.
        cache_dir: see `reff_bench.data.open_data`.
        device: `auto`, `cpu`, `cuda` or one such as `cuda:1`.

    Returns:
        The metrics, see `evaluate_model`; nothing is written.

    Raises:
        CellError: the file can't be read, or doesn't fit the model.
    """
    weights = _read_weights(path)
    data = open_data(cell, data_root, cache_dir)
    return _evaluate(cell, weights, path, data, device)


def evaluate_model(
    model: nn.Module, data: Data, device: torch.device | str = "cpu"
) -> Record:
    """Return the accuracies of a model in float32, all in [0, 1].

    Per split (`val`, `val_shifted`, `test`; null for a split that the data don't have):
    `<split>_accuracy` is the share of all samples, `<split>_balanced_accuracy` the mean
    over classes, `<split>_group_mean_accuracy` the mean over groups,
    `<split>_worst_group_accuracy` the least over groups, and
    `<split>_group_accuracies` each group's by name, null for an empty group.
    `worst_group_accuracy` is that of the test split.

    Args:
        model: gives a `reff_bench.models.Output`; left in evaluation mode.
        data: on which.
        device: where the model is.
    """
    metrics: Record = {}
    for name in SPLITS:
        split = data.splits.get(name)
        found = None if split is None else split_accuracies(model, data, split, device)
        metrics.update(_flat(name, data, found))
    metrics["worst_group_accuracy"] = metrics["test_worst_group_accuracy"]
    return metrics


def split_accuracies(
    model: nn.Module, data: Data, split: Split, device: torch.device | str = "cpu"
) -> Accuracies:
    """Return the accuracies of a model on a split."""
    predicted = predict(model, split, device)
    classes, groups = data.num_classes, len(data.group_names)
    return accuracies(predicted, split.labels, split.groups, classes, groups)


@torch.no_grad()
def predict(
    model: nn.Module, split: Split, device: torch.device | str = "cpu"
) -> Tensor:
    """Return the predicted class of every sample, (n,) int64 on the CPU."""
    model.eval()
    return torch.cat(
        [
            model(batch.image).logits.argmax(1).cpu()
            for batch in split.in_order(BATCH_SIZE, device)
        ]
    )


def _evaluate(
    cell: Cell, weights: dict[str, Tensor], path: Path, data: Data, device: str
) -> Record:
    machine = find_machine(device)
    seed = derive_seed(cell.seed, "init")
    # The weights are about to be replaced: nothing needs to be downloaded.
    bare = cell.model_copy(update={"weights": None})
    with limited(cell.threads, seed):
        model = find_method(cell.method).build(bare, data.num_classes, seed)
        _fill(model, weights, path)
        return evaluate_model(model.to(machine.device), data, machine.device)


def _fill(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CellError(
            f"the weights in {path} don't fit this cell's model: {lines[-1]}; give "
            "weights of the same method, backbone and classes"
        ) from None


def _read_weights(path: Path) -> dict[str, Tensor]:
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


def _flat(name: str, data: Data, found: Accuracies | None) -> Record:
    if found is None:
        kinds = ("", "balanced_", "group_mean_", "worst_group_")
        return {f"{name}_{kind}accuracy": None for kind in kinds}
    return {
        f"{name}_accuracy": found.sample,
        f"{name}_balanced_accuracy": found.balanced,
        f"{name}_group_mean_accuracy": found.group_mean,
        f"{name}_worst_group_accuracy": found.worst_group,
        f"{name}_group_accuracies": dict(
            zip(data.group_names, found.by_group, strict=True)
        ),
    }
