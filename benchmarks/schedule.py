"""What the runner itself costs: runs that do nothing, and runs of a minute.

python -m benchmarks.schedule --executor local --minute-runs 4 --minute-runs 12
"""

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import ceil
from operator import sub
from pathlib import Path
from statistics import median

import click

from benchmarks.common import Table
from benchmarks.made_up import (
    MINUTE,
    Watched,
    open_executor,
    plan_configs,
    run_configs,
    train_a_minute,
)
from benchmarks.memory import own_memory
from benchmarks.options import COUNT, Bench, benchmark
from reff_bench.results.run import RECORD_NAME
from texturedmnist.common.executors import EXECUTORS, Executor

ASKED = {1_000: "less than 60 s"}
SHARES = (0.1, 0.5, 1.0)  # of the runs, at which the driver's memory is shown
HEAD = [
    *("trivial runs", "median", "min - max", "each", "asked"),
    *("processor time of the driver, each", "its memory before, MiB"),
    *(f"at {share:.0%}" for share in SHARES),
]
NOTES = [
    "A trivial run writes the files of a real one (cell.json, record.json, "
    "evaluation.json, each with fsync) and computes nothing. The start of the workers "
    "is in every time; that of a Ray cluster isn't.",
    "Memory: unshared pages of the process that drives the run (Anonymous of "
    "smaps_rollup), before and when 10, 50 and 100 % of the runs have ended.",
    "Runs of a minute sleep for a minute each, after the import of torch as in "
    "training, once in each worker.",
    "All seconds but the driver's are the wall's: others' work is in them.",
]


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of trivial runs.

    Attributes:
        configs: how many.
        seconds: from finding what is to do to the last run's end.
        processor: seconds of this process alone.
        before: unshared bytes of this process, the plan included, before the run.
        memory: the same by the number of runs that have ended.
    """

    configs: int
    seconds: float
    processor: float
    before: int
    memory: dict[int, int]


def run_trivial(folder: Path, executor: Executor, configs: int) -> Pass:
    """Run so many runs that do nothing, once."""
    plan, watched = plan_configs(folder, configs), Watched(executor)
    os.sync()  # what was written before must not burden this
    before, processor = own_memory(), time.process_time()
    seconds = run_configs(folder, plan, watched)
    processor = time.process_time() - processor
    shutil.rmtree(folder)
    click.echo(f"{configs:>7,} runs  {seconds:.2f} s")
    return Pass(configs, seconds, processor, before, watched.memory)


def trivial_row(passes: list[Pass]) -> list[str]:
    """Describe passes over one number of runs; the memory is the last one's."""
    configs, seconds = passes[0].configs, sorted(one.seconds for one in passes)
    processor = median(one.processor for one in passes)
    last = passes[-1]
    memory = [last.before]
    for share in SHARES:
        noted = min(last.memory, key=lambda ended: abs(ended - share * configs))
        memory.append(last.memory[noted])
    return [
        f"{configs:,}",
        f"{median(seconds):.2f} s",
        f"{seconds[0]:.2f} - {seconds[-1]:.2f}",
        f"{1e3 * median(seconds) / configs:.2f} ms",
        ASKED.get(configs, ""),
        f"{1e3 * processor / configs:.2f} ms",
        *(f"{value / 2**20:.1f}" for value in memory),
    ]


def run_minutes(
    folder: Path, executor: Executor, configs: int, workers: int
) -> dict[str, str]:
    """Run runs that sleep for a minute; compare with the minutes alone."""
    click.echo(f"{configs} runs of a minute on {workers} workers")
    plan = plan_configs(folder, configs)
    started = time.monotonic()
    run_configs(folder, plan, executor, train_a_minute)
    ended = time.monotonic()
    least = MINUTE * ceil(configs / workers)
    clocks = read_clocks(folder / "runs")
    load = max(clock["loaded"] - clock["start"] for clock in clocks)
    overhead = (ended - started) / least - 1
    rest = (ended - started - load) / least - 1
    shutil.rmtree(folder)
    return {
        "runs of a minute": str(configs),
        "seconds": f"{ended - started:.2f}",
        "minutes alone": f"{least:.0f}",
        "overhead": f"{overhead:.2%}",
        "asked": "less than 3 %",
        "without the import of torch": f"{rest:.2%}",
        "start": f"{min(clock['start'] for clock in clocks) - started:.2f} s",
        "import of torch": f"{load:.2f} s",
        "between two runs": f"{find_pause(clocks, workers):.2f} s",
        "after the last": f"{ended - max(clock['ended'] for clock in clocks):.2f} s",
    }


def read_clocks(out: Path) -> list[dict[str, float]]:
    """Return when each run began, had loaded and ended, in the order of beginning."""
    paths = (out / "cells").glob(f"*/{RECORD_NAME}")
    clocks = [json.loads(path.read_text(encoding="utf-8"))["clock"] for path in paths]
    return sorted(clocks, key=lambda clock: clock["start"])


def find_pause(clocks: list[dict[str, float]], workers: int) -> float:
    """Return the median time from a run's end to the beginning of one in its place."""
    ends = sorted(clock["ended"] for clock in clocks)
    begins = [clock["start"] for clock in clocks[workers:]]
    return median(map(sub, begins, ends)) if begins else 0.0


@benchmark(
    "schedule-EXECUTOR", "Cost of scheduling", notes=NOTES, rounds=3, folder=True
)
@click.option("--executor", type=click.Choice(EXECUTORS), default="local")
@click.option("--runs", type=COUNT, multiple=True, default=(250, 1_000, 4_000))
@click.option("--workers", type=COUNT, default=2)
@click.option("--minute-runs", type=COUNT, multiple=True, help="Such as 4 and 12.")
def main(
    bench: Bench,
    executor: str,
    runs: tuple[int, ...],
    workers: int,
    minute_runs: tuple[int, ...],
) -> None:
    """Measure the runner's own cost; write OUT.json and OUT.md."""
    report, work = bench.report, bench.folder
    report.title += f", executor {executor}"
    report.settings |= {"executor": executor, "workers": str(workers)}
    if executor == "ray":
        report.settings["ray"] = version("ray")
    bench.out = bench.out.with_name(bench.out.name.replace("EXECUTOR", executor))
    with open_executor(executor, workers) as opened:
        run_trivial(work / "first", opened, workers)  # whatever starts only once
        passes = [
            [run_trivial(work / "trivial", opened, count) for _ in range(bench.rounds)]
            for count in runs
        ]
        minutes = [
            run_minutes(work / "minutes", opened, count, workers)
            for count in minute_runs
        ]
    report.tables.append(Table(HEAD, [trivial_row(several) for several in passes]))
    report.passes += [asdict(one) for several in passes for one in several]
    if minutes:
        rows = [list(parts.values()) for parts in minutes]
        report.tables.append(Table(list(minutes[0]), rows))


if __name__ == "__main__":
    main()
