"""One run in a worker process: train, evaluate, record what goes wrong."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from reff_bench.grid.config import RunConfig
from reff_bench.identity.tree import DataError
from reff_bench.results.run import (
    CONFIG_NAME,
    ERROR_NAME,
    EVALUATION_NAME,
    RunError,
    make_record,
    read_record,
    read_run,
    run_folder,
    write_record,
)
from texturedmnist.common.cache import Cache
from texturedmnist.common.causes import is_short_of_memory
from texturedmnist.common.executors import (
    Report,
    StoppedError,
    TimeLimitError,
    WorkerError,
)
from texturedmnist.common.files import clear_temporaries, write_atomically

# Half of a run's work, given the run, its folder and options: `run_training` writes
# checkpoint.pt and record.json and goes on from a checkpoint that lies there,
# `run_evaluation` writes evaluation.json. Both raise `RunError` if a run can't go on.
RunFunction: TypeAlias = Callable[..., object]


@dataclass(frozen=True, slots=True)
class RunWork:
    """Runs a run to its end, or records why it failed; picklable.

    Attributes:
        out: the folder of runs.
        train: the first half.
        evaluate: the second half.
        devices: of torch, such as `cpu` or `cuda:1`; one is used per worker, in turn.
        data_root: where the data is.
        cache_dir: where decoded data is kept.
        metrics: names of the user's own metrics, computed beside the built-in ones.
        cache: what one run has opened, for the next ones in the same worker; each
            worker has a copy of the whole, and with it an empty cache.
    """

    out: Path
    train: RunFunction
    evaluate: RunFunction
    devices: tuple[str, ...]
    data_root: Path | None = None
    cache_dir: Path | None = None
    metrics: tuple[str, ...] = ()
    cache: Cache = field(default_factory=Cache, repr=False, compare=False)

    def __call__(self, config: RunConfig, report: Report) -> None:
        """Run the run."""
        folder = run_folder(self.out, config)
        clear_temporaries(folder)
        write_atomically(folder / CONFIG_NAME, config.model_dump_json(indent=1) + "\n")
        options: dict[str, Any] = {
            "data_root": self.data_root,
            "cache_dir": self.cache_dir,
            "device": self.devices[report.slot % len(self.devices)],
            "report": report,
            "cache": self.cache,
        }
        try:
            self._run(config, folder, options)
        except StoppedError:
            raise
        except Exception as error:  # whatever it is, the other runs go on
            record_failure(config, folder, error)
            text = "".join(traceback.format_exception(error))
            write_atomically(folder / ERROR_NAME, text)

    def _run(self, config: RunConfig, folder: Path, options: dict[str, Any]) -> None:
        if read_record(folder) is None:
            self.train(config, folder, **options)
        record = read_record(folder)
        if record is None:
            raise RunError("the training ended without a record")
        if record["status"] == "done" and not self._is_evaluated(folder):
            more: dict[str, Any] = {"metrics": self.metrics} if self.metrics else {}
            self.evaluate(config, folder, **options, **more)
            if not self._is_evaluated(folder):
                raise RunError(f"the evaluation ended without {EVALUATION_NAME}")

    def _is_evaluated(self, folder: Path) -> bool:
        run = read_run(folder)
        return run.status == "done" and (run.evaluation or {}).keys() >= {*self.metrics}


def record_failure(config: RunConfig, folder: Path, error: BaseException) -> None:
    """Record that a run failed; what it had measured before is kept."""
    known = read_run(folder).record or {}
    record = {**make_record(config, "failed"), **known, "status": "failed"}
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
    """Return one line that says why a run failed."""
    text = str(error).strip().splitlines()
    first = text[0] if text else "no further words"
    if isinstance(error, RunError):
        return first
    if isinstance(error, WorkerError):
        return error.reason  # the advice is for datasets
    if is_short_of_memory(error):
        return f"out of memory: {first}"
    return f"{type(error).__name__}: {first}"


def run_training(
    config: RunConfig,
    folder: Path,
    /,
    *,
    tensorboard: bool = False,
    other_device: bool = False,
    **options: Any,
) -> None:
    """Train with the real module; see `TrainOptions` for the flags."""
    # torch is loaded only where a run is run.
    from reff_bench.train.loop import TrainOptions
    from reff_bench.train.run import train_run

    how = TrainOptions(tensorboard=tensorboard, other_device=other_device)
    train_run(config, folder, options=how, **options)


def run_evaluation(config: RunConfig, folder: Path, /, **options: Any) -> None:
    """Evaluate with the real module."""
    # torch is loaded only where a run is run.
    from reff_bench.evaluate.checkpoint import evaluate_run

    evaluate_run(config, folder, **options)
