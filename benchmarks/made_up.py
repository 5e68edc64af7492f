"""Grids of runs that cost next to nothing: what is left is the runner's own work.

Imports no torch, so that a worker starts as fast as one of `reff-bench run` does.
"""

import io
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.common import count_cores
from benchmarks.memory import own_memory
from reff_bench.grid.config import RunConfig
from reff_bench.grid.load import load_grid
from reff_bench.results.plan import Plan
from reff_bench.results.run import (
    CONFIG_NAME,
    EVALUATION_NAME,
    RunProgress,
    make_record,
    run_folder,
    write_record,
)
from reff_bench.runner.run import find_work, plan_grid, run_work
from reff_bench.runner.work import RunFunction, RunWork
from texturedmnist.common.executors import Executor, LocalProcesses, Outcome, open_ray
from texturedmnist.common.files import write_atomically

METHODS = ("baseline", "reff")
MINUTE = 60.0  # s
HISTORY = 20  # epochs that a record tells of
POINTS = 100  # of a run at which its driver's memory is looked at
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

Report = Callable[[RunProgress], None]


def write_grid(path: Path, configs: int) -> Path:
    """Write a grid of so many runs: a few methods and as many seeds as needed.

    Raises:
        UsageError: the methods don't divide the number of runs.
    """
    methods = METHODS[: min(configs, len(METHODS))]
    seeds, rest = divmod(configs, len(methods))
    if rest:
        raise click.UsageError(f"{configs} configs: give 1 or an even number")
    text = GRID.format(
        methods=", ".join(methods), seeds=", ".join(map(str, range(seeds)))
    )
    path.write_text(text, encoding="utf-8")
    return path


def train(
    config: RunConfig, folder: Path, /, *, report: Report, **options: Any
) -> None:
    """Report once and record a training that never was."""
    losses = {"loss": 0.5, "cross_entropy": 0.4}
    report(RunProgress("training", 0.5, epoch=1, losses=losses))
    write_record(folder, _record(config))


def evaluate(config: RunConfig, folder: Path, /, **options: Any) -> None:
    """Record an evaluation that never was."""
    write_record(folder, _evaluation(config), EVALUATION_NAME)


def train_a_minute(
    config: RunConfig, folder: Path, /, *, report: Report, **options: Any
) -> None:
    """Load what training loads, then sleep and report twice a second.

    The record tells when it began, had loaded and ended, in seconds of the system's
    monotonic clock, which all processes of a machine share.
    """
    start = time.monotonic()
    import reff_bench.train.run  # noqa: F401 (torch: seconds, once in each worker)

    loaded = time.monotonic()
    while (passed := time.monotonic() - loaded) < MINUTE:
        report(RunProgress("training", passed / MINUTE, epoch=1))
        time.sleep(min(0.5, MINUTE - passed))
    clock = {"start": start, "loaded": loaded, "ended": time.monotonic()}
    write_record(folder, {**_record(config), "clock": clock})


def write_finished(out: Path, config: RunConfig) -> None:
    """Write what a run leaves behind, but its weights and pictures."""
    folder = run_folder(out, config)
    write_atomically(folder / CONFIG_NAME, config.model_dump_json(indent=1) + "\n")
    write_record(folder, _record(config))
    write_record(folder, _evaluation(config), EVALUATION_NAME)


def _record(config: RunConfig) -> dict[str, Any]:
    falling = [2.0 / (epoch + 1) for epoch in range(HISTORY)]
    histories = {"history_loss": falling, "history_cross_entropy": falling}
    return make_record(config, "done", val_accuracy=0.5, train_seconds=1.0, **histories)


def _evaluation(config: RunConfig) -> dict[str, Any]:
    score = 0.5 + 0.001 * (config.seed % 100)
    return {"test_accuracy": score, "worst_group_accuracy": score / 2}


@contextmanager
def open_executor(name: str, workers: int) -> Iterator[Executor]:
    """Open one of `EXECUTORS` on this machine for so many runs at once."""
    if name == "local":
        yield LocalProcesses(workers)
        return
    share = min(1.0, count_cores() / workers)  # Ray starts no more than cores are there
    with open_ray(None, jobs=workers, needs=lambda config: (share, 0.0)) as cluster:
        yield cluster


@dataclass(slots=True)
class Watched:
    """An executor whose driver's memory is noted as runs end.

    Attributes:
        inner: what does the work.
        memory: unshared bytes of this process by the number of runs that have ended.
    """

    inner: Executor
    memory: dict[int, int] = field(default_factory=dict)

    def run_each(
        self,
        work: Callable[[Any, Any], Any],
        tasks: Sequence[Any],
        *,
        report: Callable[[int, Any], None],
        started: Callable[[int], None] = lambda number: None,
    ) -> Generator[Outcome[Any], None, None]:
        """Hand on what the inner executor yields."""
        pause = max(1, len(tasks) // POINTS)
        outcomes = self.inner.run_each(work, tasks, report=report, started=started)
        with closing(outcomes):
            for ended, outcome in enumerate(outcomes, 1):
                yield outcome
                if ended % pause == 0:
                    self.memory[ended] = own_memory()


def plan_configs(folder: Path, count: int) -> Plan:
    """Plan a made-up grid of so many runs, as the command does."""
    folder.mkdir(parents=True, exist_ok=True)
    return plan_grid(load_grid(write_grid(folder / "grid.yaml", count)))


def run_configs(
    folder: Path, plan: Plan, executor: Executor, step: RunFunction = train
) -> float:
    """Run a plan's runs, progress written for nobody; return seconds.

    Raises:
        ClickException: a run isn't done in the end.
    """
    out = folder / "runs"
    started = time.perf_counter()
    work = find_work(plan, out)
    run_steps = RunWork(out=out, train=step, evaluate=evaluate, devices=("cpu",))
    with redirect_stderr(io.StringIO()):
        runs = run_work(work, run_steps, executor)
    if not runs.are_done:
        raise click.ClickException(f"some of the runs in {out} aren't done")
    return time.perf_counter() - started
