"""Grids of cells that cost next to nothing: what is left is the benchmark's own work.

Imports no torch, so that a worker starts as fast as one of `reff-bench run` does.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from reff_bench.grid import Cell
from reff_bench.results import (
    CELL_NAME,
    EVALUATION_NAME,
    CellProgress,
    cell_folder,
    make_record,
    write_record,
)
from texturedmnist.common.files import write_atomically

METHODS = ("baseline", "reff")
MINUTE = 60.0  # s
HISTORY = 20  # epochs that a record tells of
GRID = """\
name: made-up
data:
  kind: textured_mnist
  digits: embedded
  textures: embedded
  train: 2000
  val: 200
  test: 200
  image_size: 32
  bg: 0.0
  test_bg: 1.0
  tex: 0.0
axes:
  method: [{methods}]
  annotations: [all]
  seed: [{seeds}]
training:
  backbone: resnet_small
  epochs: 20
tables: [tab2]
"""

Report = Callable[[CellProgress], None]


def write_grid(path: Path, cells: int) -> Path:
    """Write a grid of so many cells: a few methods and as many seeds as needed.

    Raises:
        UsageError: the methods don't divide the number of cells.
    """
    methods = METHODS[: min(cells, len(METHODS))]
    seeds, rest = divmod(cells, len(methods))
    if rest:
        raise click.UsageError(f"{cells} cells: give 1 or an even number")
    text = GRID.format(
        methods=", ".join(methods), seeds=", ".join(map(str, range(seeds)))
    )
    path.write_text(text, encoding="utf-8")
    return path


def train(cell: Cell, folder: Path, /, *, report: Report, **options: Any) -> None:
    """Report once and record a training that never was."""
    losses = {"loss": 0.5, "cross_entropy": 0.4}
    report(CellProgress("training", 0.5, epoch=1, losses=losses))
    write_record(folder, _record(cell))


def evaluate(cell: Cell, folder: Path, /, **options: Any) -> None:
    """Record an evaluation that never was."""
    write_record(folder, _evaluation(cell), EVALUATION_NAME)


def train_a_minute(
    cell: Cell, folder: Path, /, *, report: Report, **options: Any
) -> None:
    """Load what training loads, then sleep and report twice a second.

    The record tells when it began, had loaded and ended, in seconds of the system's
    monotonic clock, which all processes of a machine share.
    """
    begun = time.monotonic()
    import reff_bench.train  # noqa: F401 (torch: seconds, once in each worker)

    loaded = time.monotonic()
    while (passed := time.monotonic() - loaded) < MINUTE:
        report(CellProgress("training", passed / MINUTE, epoch=1))
        time.sleep(min(0.5, MINUTE - passed))
    clock = {"begun": begun, "loaded": loaded, "ended": time.monotonic()}
    write_record(folder, {**_record(cell), "clock": clock})


def write_finished(out: Path, cell: Cell) -> None:
    """Write what a cell leaves behind, but its weights and pictures."""
    folder = cell_folder(out, cell)
    write_atomically(folder / CELL_NAME, cell.model_dump_json(indent=1) + "\n")
    write_record(folder, _record(cell))
    write_record(folder, _evaluation(cell), EVALUATION_NAME)


def _record(cell: Cell) -> dict[str, Any]:
    falling = [2.0 / (epoch + 1) for epoch in range(HISTORY)]
    histories = {"history_loss": falling, "history_cross_entropy": falling}
    return make_record(cell, "done", val_accuracy=0.5, train_seconds=1.0, **histories)


def _evaluation(cell: Cell) -> dict[str, Any]:
    score = 0.5 + 0.001 * (cell.seed % 100)
    return {"test_accuracy": score, "worst_group_accuracy": score / 2}
