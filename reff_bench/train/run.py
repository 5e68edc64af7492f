"""One run from its data to its record: `train_run`."""

from pathlib import Path
from typing import Any

from torch import nn

from reff_bench.data.opening import open_data
from reff_bench.grid.config import RunConfig, derive_seed
from reff_bench.results.json_file import Fields
from reff_bench.results.run import (
    CHECKPOINT_NAME,
    CONFIG_NAME,
    make_record,
    write_record,
)
from reff_bench.train.annotate import annotate, annotators_folder
from reff_bench.train.loop import Trainer, TrainOptions
from reff_bench.train.machine import find_context, limited, versions
from reff_bench.train.reports import ProgressCallback, Reporter
from texturedmnist.common.cache import Cache
from texturedmnist.common.files import write_atomically


def train_run(
    config: RunConfig,
    folder: Path,
    *,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    device: str = "auto",
    report: ProgressCallback | None = None,
    options: TrainOptions | None = None,
    cache: Cache | None = None,
) -> Fields:
    """Train one run (Algorithm 1), or go on where it was interrupted.

    On a CPU with the same number of threads the weights are, to the bit, those of an
    unbroken run. The checkpoint and, last, the record are written into the folder,
    `OUT/cells/<id>`; pseudo-annotators lie in `annotators` two folders up, beside
    `cells`. `report` is called with the progress, several times a second at most; the
    rest is as of `reff_bench.data.opening.open_data`.

    Returns:
        The record: besides the run's fields, `history_<name>` is a list with the mean
        of an epoch's loss term or share, one entry per epoch; loss terms are unweighted
        but for `history_loss`, the sum that is minimized.

    Raises:
        RunError: the run can't go on; says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CONFIG_NAME).is_file():
        write_atomically(folder / CONFIG_NAME, config.model_dump_json(indent=1) + "\n")
    reporter = Reporter(report, annotator=config.uses_annotator)
    machine = find_context(device, config.precision)
    seed = derive_seed(config.seed, "augment")
    with limited(config.threads, seed, machine.device, search=True):
        reporter.stage("data", 0.0)
        data = open_data(config, data_root, cache_dir, machine.device, cache)
        place = annotators_folder(folder)
        annotated = annotate(config, data, place, machine.device, reporter)
        trainer = Trainer(
            *(config, data, annotated.split, folder / CHECKPOINT_NAME, machine),
            *(options or TrainOptions(), reporter),
        )
        trainer.run()
    empty = data.splits["train"].empty_masks
    facts = {**annotated.facts, "empty_masks": empty, **_measured(trainer)}
    record = make_record(config, "done", **{**facts, "data_identity": data.identity})
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
    # Neither a GPU's nor the loading processes' work is in this process's time.
    is_own_work = not machine.is_gpu and not trainer.config.loader_workers
    return {
        **history,
        "train_images": len(trainer.train),
        "val_accuracy": at.history["val_accuracy"][-1],
        **at.found,
        "train_seconds": at.seconds,
        "processor_seconds": at.processor_seconds if is_own_work else None,
        "images_per_second": at.images / at.seconds if at.seconds else None,
        "data_stall_share": at.fetch_seconds / at.seconds if at.seconds else None,
        "peak_memory_bytes": machine.peak_memory_bytes(),
        "device": machine.describe(),
        "device_type": machine.device.type,
        "arithmetic": precision.removeprefix("torch."),
        "compiled": trainer.train_step.compiled,
        **_describe_network(trainer.train_step.model),
        "versions": versions(),
    }
