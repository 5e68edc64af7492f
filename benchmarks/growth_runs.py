"""How what `reff-bench` does beside training grows with the runs of a grid."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.curves import Curve, Timing, add_pass, measure_work, name_workers
from benchmarks.made_up import write_finished, write_grid
from benchmarks.running import open_executor, plan_configs, run_configs
from reff_bench.cli.show import (
    describe_counts,
    describe_failures,
    describe_others,
)
from reff_bench.grid.load import load_grid
from reff_bench.results.folder import open_runs
from reff_bench.results.plan import write_plan
from reff_bench.runner.run import find_work, plan_grid

MOST_RUN = 64  # runs that are run here; `schedule` runs more


def measure_runs(folder: Path, counts: Sequence[int], timing: Timing) -> list[Curve]:
    """Time planning, a second run, status and tables of folders of made-up runs."""
    for count in counts:
        plan = plan_grid(load_grid(write_grid(_grid(folder, count), count)))
        write_plan(_runs(folder, count), plan)
        for config in plan.configs:
            write_finished(_runs(folder, count), config)

    def plan_anew(count: int) -> None:
        find_work(plan_grid(load_grid(_grid(folder, count))), folder / "empty")

    def run_again(count: int) -> None:
        work = find_work(
            plan_grid(load_grid(_grid(folder, count))), _runs(folder, count)
        )
        assert not work.todo, "runs are left that should be done"

    def say_status(count: int) -> None:
        runs = open_runs(_runs(folder, count))
        describe_counts(runs)
        describe_failures(runs)
        describe_others(runs)

    # Loads pandas and scipy, which a worker, who imports this module, never does.
    from reff_bench.report.files import write_tables

    def make_tables(count: int) -> None:
        write_tables(open_runs(_runs(folder, count)))

    works: dict[str, Callable[[int], object]] = {
        "load, expand, identify, find what is left": plan_anew,
        "the same, all done": run_again,
        "status": say_status,
        "tables": make_tables,
    }
    return [
        measure_work(name, "cells", work, counts, timing)
        for name, work in works.items()
    ]


def measure_workers(
    folder: Path, counts: Sequence[int], workers: Sequence[int], timing: Timing
) -> list[Curve]:
    """Time runs of runs that do nothing, start of the workers included."""
    found = [Curve(f"run trivial runs, {name_workers(n)}", "cells") for n in workers]
    for count in (count for count in counts if count <= MOST_RUN):
        plan = plan_configs(folder / "plan", count)
        for _ in range(timing.rounds):
            for curve, jobs in zip(found, workers, strict=True):
                started = timing.clock()
                with open_executor("local", jobs) as executor:
                    run_configs(folder / "run", plan, executor)
                add_pass(curve, count, timing.clock() - started)
                shutil.rmtree(folder / "run")
    return found


def _grid(folder: Path, count: int) -> Path:
    return folder / f"grid-{count}.yaml"


def _runs(folder: Path, count: int) -> Path:
    return folder / f"runs-{count}"
