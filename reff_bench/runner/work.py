"""One cell in a worker process: train, evaluate, record what goes wrong."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from reff_bench.grid import Cell
from reff_bench.identity import DataError
from reff_bench.results import (
    CELL_NAME,
    ERROR_NAME,
    EVALUATION_NAME,
    CellError,
    CellProgress,
    cell_folder,
    make_record,
    read_record,
    read_run,
    write_record,
)
from texturedmnist.common.executors import (
    Report,
    StoppedError,
    TimeLimitError,
    WorkerError,
)
from texturedmnist.common.files import clear_temporaries, write_atomically
from texturedmnist.common.memory import is_short_of_memory


class Step(Protocol):
    """Half of a cell's work: `train_cell` or `evaluate_cell`.

    The first writes checkpoint.pt and record.json into the folder and continues from a
    checkpoint that lies there; the second writes evaluation.json.
    """

    def __call__(
        self,
        cell: Cell,
        folder: Path,
        /,
        *,
        data_root: Path | None,
        cache_dir: Path | None,
        device: str,
        report: Callable[[CellProgress], None],
    ) -> None:
        """Do it; raise `CellError` if the cell can't go on."""


@dataclass(frozen=True, slots=True)
class CellWork:
    """Runs a cell to its end, or records why it failed; picklable.

    Attributes:
        out: the folder of runs.
        train: the first half.
        evaluate: the second half.
        devices: of torch, such as `cpu` or `cuda:1`; one is used per worker, in turn.
        data_root: where the data is.
        cache_dir: where decoded data is kept.
        metrics: names of the user's own metrics, computed beside the built-in ones.
    """

    out: Path
    train: Step
    evaluate: Step
    devices: tuple[str, ...]
    data_root: Path | None = None
    cache_dir: Path | None = None
    metrics: tuple[str, ...] = ()

    def __call__(self, cell: Cell, report: Report) -> None:
        """Run the cell."""
        folder = cell_folder(self.out, cell)
        clear_temporaries(folder)
        write_atomically(folder / CELL_NAME, cell.model_dump_json(indent=1) + "\n")
        options: dict[str, Any] = {
            "data_root": self.data_root,
            "cache_dir": self.cache_dir,
            "device": self.devices[report.slot % len(self.devices)],
            "report": report,
        }
        try:
            self._run(cell, folder, options)
        except StoppedError:
            raise
        except Exception as error:  # whatever it is, the other cells go on
            record_failure(cell, folder, error)
            text = "".join(traceback.format_exception(error))
            write_atomically(folder / ERROR_NAME, text)

    def _run(self, cell: Cell, folder: Path, options: dict[str, Any]) -> None:
        if read_record(folder) is None:
            self.train(cell, folder, **options)
        record = read_record(folder)
        if record is None:
            raise CellError("the training ended without a record")
        if record["status"] == "done" and not self._is_evaluated(folder):
            more: dict[str, Any] = {"metrics": self.metrics} if self.metrics else {}
            self.evaluate(cell, folder, **options, **more)
            if not self._is_evaluated(folder):
                raise CellError(f"the evaluation ended without {EVALUATION_NAME}")

    def _is_evaluated(self, folder: Path) -> bool:
        run = read_run(folder)
        return run.status == "done" and (run.evaluation or {}).keys() >= {*self.metrics}


def record_failure(cell: Cell, folder: Path, error: BaseException) -> None:
    """Record that a cell failed; what it had measured before is kept."""
    known = read_run(folder).record or {}
    record = {**make_record(cell, "failed"), **known, "status": "failed"}
    why = {"reason": reason_of(error), "outside": is_outside(error)}
    write_record(folder, {**record, **why})


def is_outside(error: BaseException) -> bool:
    """Whether the run isn't to blame: a lost worker, memory, the disk or the data.

    It may well go right the next time, when nothing but the surroundings has changed.
    """
    if isinstance(error, TimeLimitError):
        return False
    kinds = WorkerError, OSError, DataError
    return isinstance(error, kinds) or is_short_of_memory(error)


def reason_of(error: BaseException) -> str:
    """Return one line that says why a cell failed."""
    text = str(error).strip().splitlines()
    first = text[0] if text else "no further words"
    if isinstance(error, CellError):
        return first
    if isinstance(error, WorkerError):
        return error.reason  # the advice is for datasets
    if is_short_of_memory(error):
        return f"out of memory: {first}"
    return f"{type(error).__name__}: {first}"


def train_step(
    cell: Cell,
    folder: Path,
    /,
    *,
    tensorboard: bool = False,
    other_device: bool = False,
    **options: Any,
) -> None:
    """Train with the real room; see `reff_bench.train.TrainOptions` for the flags."""
    # torch is loaded only where a cell is run.
    from reff_bench.train import TrainOptions, train_cell

    how = TrainOptions(tensorboard=tensorboard, other_device=other_device)
    train_cell(cell, folder, options=how, **options)


def evaluate_step(cell: Cell, folder: Path, /, **options: Any) -> None:
    """Evaluate with the real room."""
    # torch is loaded only where a cell is run.
    from reff_bench.evaluate import evaluate_cell

    evaluate_cell(cell, folder, **options)
