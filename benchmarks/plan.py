"""The plan of the full study: what it costs, and whether the simulation is right.

python -m benchmarks.plan --step-times assumed.json --slots 8 --slots 64
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import click
from filelock import FileLock

from benchmarks.common import ROOT, Table, describe_machine, write_report
from benchmarks.common import Report as Findings
from reff_bench.cost import (
    Paces,
    Task,
    describe_cost,
    plan_tasks,
    read_paces,
    simulate,
)
from reff_bench.cost.table import describe_seconds
from reff_bench.grid import Cell, cell_id, expand, load_grid
from texturedmnist.common.executors import LocalProcesses, Report, run_tasks

SEEDS = "seed=[0,1,2,3,4]"
METHODS = (
    "method=[baseline,reff,reff_l1,reff_l2,abn,abn_plain,reff_plus,background_swap]"
)
# Three data sets, all methods, five seeds; the grids hold the weights themselves.
STUDY = (
    ("tab2", (SEEDS,)),
    ("tab3", (SEEDS,)),
    ("isic2017", (SEEDS, METHODS)),
    ("pets", (SEEDS, METHODS)),
)
DEVICES = (1, 8, 64)


@dataclass(frozen=True, slots=True)
class Sleep:
    """Does a task's work by sleeping, its annotator behind a lock as the real one.

    Attributes:
        folder: of the annotators that are made.
        scale: seconds slept for each of the plan.
    """

    folder: Path
    scale: float

    def __call__(
        self, task: tuple[str, Task], report: Report
    ) -> tuple[int, float, float]:
        """Sleep for a task, given with its annotator's name; return slot and times."""
        name, work = task
        begun = time.monotonic()
        if work.needs is not None:
            place = self.folder / name
            with FileLock(place.with_suffix(".lock")):
                if not place.exists():
                    time.sleep(self.scale * work.needs_seconds)
                    place.touch()
        time.sleep(self.scale * work.seconds)
        return report.slot, begun, time.monotonic()


def study_cells(threads: int | None = None) -> dict[str, list[Cell]]:
    """Return the runs of the full study by grid, each run once."""
    extra = () if threads is None else (f"threads={threads}",)
    cells = {}
    for name, overrides in STUDY:
        grid = load_grid(ROOT / "grids" / f"{name}.yaml", (*overrides, *extra))
        cells[name] = [*{cell_id(cell): cell for cell in expand(grid)}.values()]
    return cells


def run_asleep(
    tasks: Sequence[Task], slots: int, scale: float
) -> tuple[float, list[float]]:
    """Send sleeping tasks through the project's executor.

    Returns:
        The seconds to the last one's end, and those to each slot's first begin.
    """
    needs = dict.fromkeys(task.needs for task in tasks)
    names = {need: f"annotator-{number}" for number, need in enumerate(needs)}
    with tempfile.TemporaryDirectory() as folder:
        work = Sleep(Path(folder), scale)
        named = [(names[task.needs], task) for task in tasks]
        begun = time.monotonic()
        done = [*_results(work, named, slots)]
    first = {slot: start for slot, start, _ in sorted(done, key=lambda one: -one[1])}
    return max(end for *_, end in done) - begun, [at - begun for at in first.values()]


def _results(
    work: Sleep, tasks: Sequence[tuple[str, Task]], slots: int
) -> Iterator[tuple[int, float, float]]:
    executor = LocalProcesses(slots)
    return run_tasks(executor, work, tasks, report=lambda message: None)


def compare(tasks: Sequence[Task], slots: int, seconds: float) -> tuple[str, ...]:
    """Return a row: the simulated and the real time on so many slots.

    Args:
        tasks: in the plan's own seconds.
        slots: worker processes.
        seconds: what the simulated time is scaled to.
    """
    planned = simulate(tasks, slots)
    scale = seconds / planned.makespan
    real, starts = run_asleep(tasks, slots, scale)
    lost = sum(starts) / slots
    return (
        *(str(slots), str(len(tasks)), f"1 : {1 / scale:,.0f}"),
        *(f"{planned.busy:.1%}", f"{seconds:.1f}", f"{real:.1f}"),
        *(f"{real / seconds - 1:+.1%}", f"{lost:.1f}, {max(starts):.1f}"),
        f"{(real - lost) / seconds - 1:+.1%}",
    )


HEAD = (
    *("slots", "cells", "scale", "busy", "simulated, s", "real, s", "error"),
    *("slots ready after, s: mean, last", "error without the mean"),
)


def plan_row(name: str, cells: Sequence[Cell], paces: Paces) -> list[str]:
    """Return a grid's time on each number of devices."""
    tasks = plan_tasks(cells, paces)
    plans = [simulate(tasks, count) for count in DEVICES]
    told = [f"{describe_seconds(p.makespan)}, {p.busy:.0%} busy" for p in plans]
    return [name, f"{len(cells):,}", *told]


@click.command()
@click.option("--step-times", type=Path, required=True, help="Of every kind of work.")
@click.option("--threads", type=click.IntRange(1), help="Of a cell, as in that file.")
@click.option("--slots", type=click.IntRange(1), multiple=True, default=(8,))
@click.option("--seconds", default=60.0, show_default=True, help="Of each real run.")
@click.option("--out", type=Path, default=ROOT / "benchmarks" / "results" / "plan")
def main(
    step_times: Path,
    threads: int | None,
    slots: tuple[int, ...],
    seconds: float,
    out: Path,
) -> None:
    """Print the plan of the study; then run it asleep, and compare."""
    paces, by_grid = read_paces(step_times), study_cells(threads)
    by_grid["all"] = [*chain(*by_grid.values())]
    for name, cells in by_grid.items():
        click.echo(f"{name}\n{describe_cost(cells, paces, DEVICES)}\n")
    settings = describe_machine(ROOT) | {"step times": paces.device}
    report = Findings("The plan of the full study", settings)
    plans = [plan_row(name, cells, paces) for name, cells in by_grid.items()]
    tasks = plan_tasks(by_grid["all"], paces)
    rows = [[*compare(tasks, count, seconds)] for count in slots]
    head = ["grid", "runs", *(f"{count} devices" for count in DEVICES)]
    report.tables = [Table(head, plans), Table([*HEAD], rows)]
    report.notes = ["The second table: the last plan, asleep, through LocalProcesses."]
    write_report(report, out)


if __name__ == "__main__":
    main()
