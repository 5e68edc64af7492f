"""One cell from its data to its record: `train_cell`."""

from pathlib import Path
from typing import Any

from torch import nn

from reff_bench.data import open_data
from reff_bench.grid import Cell, derive_seed
from reff_bench.results import (
    CELL_NAME,
    CHECKPOINT_NAME,
    Fields,
    make_record,
    write_record,
)
from reff_bench.train.annotate import annotate, annotators_folder
from reff_bench.train.loop import Trainer, TrainOptions
from reff_bench.train.machine import find_machine, limited, versions
from reff_bench.train.reports import Report, Reporter
from texturedmnist.common.files import write_atomically


def train_cell(
    cell: Cell,
    folder: Path,
    *,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    device: str = "auto",
    report: Report | None = None,
    options: TrainOptions | None = None,
) -> Fields:
    """Train one cell (Algorithm 1), or go on where it was interrupted.

    On a CPU with the same number of threads the weights are, to the bit, those of an
    unbroken run. The checkpoint and, last, the record are written into the folder;
    pseudo-annotators lie in `annotators` two folders up, beside `cells`.

    Args:
        cell: what to train.
        folder: of the run, `OUT/cells/<id>`.
        data_root: see `reff_bench.data.open_data`.
        cache_dir: see `reff_bench.data.open_data`.
        device: `auto`, `cpu`, `cuda` or one such as `cuda:1`.
        report: hears of progress, several times a second at most.
        options: how to carry it out.

    Returns:
        The record: besides the cell's fields, `history_<name>` is a list with the mean
        of an epoch's loss term or share, one entry per epoch; loss terms are unweighted
        but for `history_loss`, the sum that is minimised.

    Raises:
        CellError: the cell can't go on; says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CELL_NAME).is_file():
        write_atomically(folder / CELL_NAME, cell.model_dump_json(indent=1) + "\n")
    reporter = Reporter(report, annotator=cell.uses_annotator)
    machine = find_machine(device, cell.precision)
    seed = derive_seed(cell.seed, "augment")
    with limited(cell.threads, seed, machine.device, search=True):
        reporter.stage("data", 0.0)
        data = open_data(cell, data_root, cache_dir, machine.device)
        place = annotators_folder(folder)
        annotated = annotate(cell, data, place, machine.device, reporter)
        trainer = Trainer(
            *(cell, data, annotated.split, folder / CHECKPOINT_NAME, machine),
            *(options or TrainOptions(), reporter),
        )
        trainer.run()
    empty = data.splits["train"].empty_masks
    facts = {**annotated.facts, "empty_masks": empty, **_measured(trainer)}
    record = make_record(cell, "done", **{**facts, "data_identity": data.identity})
    write_record(folder, record)
    return record


def _describe_network(model: nn.Module) -> dict[str, Any]:
    """A method of the user's own may train any network, whatever `backbone` says."""
    count = sum(parameter.numel() for parameter in model.parameters())
    kind = type(model)
    return {"network": f"{kind.__module__}.{kind.__name__}", "parameters": count}


def _measured(trainer: Trainer) -> dict[str, Any]:
    at, machine = trainer.position, trainer.machine
    history = {f"history_{name}": values for name, values in at.history.items()}
    precision = "float32" if machine.autocast is None else str(machine.autocast)
    return {
        **history,
        "train_images": len(trainer.train),
        "val_accuracy": at.history["val_accuracy"][-1],
        **at.found,
        "train_seconds": at.seconds,
        "images_per_second": at.images / at.seconds if at.seconds else None,
        "data_stall_share": at.fetch_seconds / at.seconds if at.seconds else None,
        "peak_memory_bytes": machine.peak_memory_bytes(),
        "device": machine.describe(),
        "device_type": machine.device.type,
        "arithmetic": precision.removeprefix("torch."),
        "compiled": trainer.stepper.compiled,
        **_describe_network(trainer.stepper.model),
        "versions": versions(),
    }
