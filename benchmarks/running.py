"""Runs made-up runs as `reff-bench run` does, and watches the process that drives."""

import io
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.common import count_cores
from benchmarks.made_up import evaluate, train, write_grid
from benchmarks.memory import own_memory
from reff_bench.grid.load import load_grid
from reff_bench.results.plan import Plan
from reff_bench.runner.run import find_work, plan_grid, run_work
from reff_bench.runner.work import RunFunction, RunWork
from texturedmnist.common.executors import Executor, LocalProcesses, Outcome, open_ray

POINTS = 100  # of a run at which its driver's memory is looked at


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
        ends: seconds since the start at which each run ended.
        memory: unshared bytes of this process by the number of runs that have ended.
    """

    inner: Executor
    ends: list[float] = field(default_factory=list)
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
        start, pause = time.perf_counter(), max(1, len(tasks) // POINTS)
        outcomes = self.inner.run_each(work, tasks, report=report, started=started)
        try:
            for outcome in outcomes:
                yield outcome
                self.ends.append(time.perf_counter() - start)
                if len(self.ends) % pause == 0:
                    self.memory[len(self.ends)] = own_memory()
        finally:
            outcomes.close()


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
