"""How time and memory grow with samples, runs and workers.

python -m benchmarks.growth --data-root ../shared/data
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core

import shutil
from collections.abc import Sequence
from dataclasses import asdict

import click
import numpy as np

from benchmarks.case import run
from benchmarks.curves import Curve, add_pass, make_tables, measure_works
from benchmarks.made_up import (
    open_executor,
    plan_configs,
    run_configs,
    write_finished,
    write_grid,
)
from benchmarks.options import COUNT, Bench, benchmark
from reff_bench.cli.show import describe_counts, describe_failures, describe_others
from reff_bench.grid.load import load_grid
from reff_bench.results.folder import open_runs
from reff_bench.results.plan import Plan, write_plan
from reff_bench.runner.run import find_work, plan_grid
from texturedmnist.plan import plan_samples

SAMPLES = (10**3, 10**4, 10**5, 10**6)
IMAGE_SIZE = 32  # px: 4 KiB a sample
SHARD = 2_000  # samples that are planned at once
MOST_RUN = 64  # runs that are run here; `schedule` runs more
NOTES = [
    "A slope is that of log time against log count: 1 is linear, less where a fixed "
    "start weighs; the slope at the end is that of the last two counts.",
    "Peak memory of generate: unshared (Anonymous of smaps_rollup), summed over all of "
    "its processes, in a run of its own. Of all else: what Python and numpy allocate "
    "meanwhile (tracemalloc), in a pass of its own.",
]


def measure_recipe(bench: Bench, counts: Sequence[int]) -> list[Curve]:
    """Time what a recipe costs without a pixel: plan, identity, opening, a batch."""
    case, sources = bench.case, bench.case.open_sources()
    case.on_the_fly(1)  # loads torch, whose import must not be measured

    def plan(count: int) -> None:
        recipe = case.recipe(count, IMAGE_SIZE)
        for first in range(0, count, SHARD):
            part = np.arange(first, min(first + SHARD, count))
            plan_samples(recipe, sources.index, "train", part)

    def identify(count: int) -> None:
        case.open_sources().identity(case.recipe(count, IMAGE_SIZE))

    def first_batch(count: int) -> None:
        case.on_the_fly(count, IMAGE_SIZE).read(range(0, count, count // 64)[:64])

    works = {
        f"plan, {SHARD:,} at once": plan,
        "identity": identify,
        "from_recipe": lambda count: case.on_the_fly(count, IMAGE_SIZE),
        "from_recipe and 64 samples from all over": first_batch,
    }
    return measure_works(works, "samples", counts, bench)


def measure_runs(bench: Bench, counts: Sequence[int]) -> list[Curve]:
    """Time planning, a second run, status and tables of folders of made-up runs."""
    grids = {count: bench.folder / f"grid-{count}.yaml" for count in counts}
    outs = {count: bench.folder / f"runs-{count}" for count in counts}

    def plan(count: int) -> Plan:
        return plan_grid(load_grid(grids[count]))

    for count in counts:
        write_grid(grids[count], count)
        write_plan(outs[count], plan(count))
        for config in plan(count).configs:
            write_finished(outs[count], config)

    def run_again(count: int) -> None:
        work = find_work(plan(count), outs[count])
        assert not work.todo, "runs are left that should be done"

    def say_status(count: int) -> None:
        runs = open_runs(outs[count])
        for describe in (describe_counts, describe_failures, describe_others):
            describe(runs)

    # Loads pandas and scipy, which a worker, who imports this module, never does.
    from reff_bench.report.files import write_tables

    works = {
        "load, expand, identify, find what is left": lambda count: find_work(
            plan(count), bench.folder / "empty"
        ),
        "the same, all done": run_again,
        "status": say_status,
        "tables": lambda count: write_tables(open_runs(outs[count])),
    }
    return measure_works(works, "cells", counts, bench)


def curve_of_workers(name: str, unit: str, count: int) -> Curve:
    """Return an empty curve of so many workers."""
    workers = "1 worker" if count == 1 else f"{count} workers"
    return Curve(f"{name}, {workers}", unit)


def measure_workers(
    bench: Bench, counts: Sequence[int], workers: Sequence[int]
) -> list[Curve]:
    """Time runs that do nothing, start of the workers included."""
    found = {n: curve_of_workers("run trivial runs", "cells", n) for n in workers}
    out = bench.folder / "run"
    for count in (count for count in counts if count <= MOST_RUN):
        plan = plan_configs(bench.folder / "plan", count)
        for _ in range(bench.rounds):
            for jobs, curve in found.items():
                started = bench.clock()
                with open_executor("local", jobs) as executor:
                    run_configs(out, plan, executor)
                add_pass(curve, count, bench.clock() - started)
                shutil.rmtree(out)
    return [*found.values()]


def measure_generate(
    bench: Bench, counts: Sequence[int], workers: Sequence[int]
) -> list[Curve]:
    """Time the command from start to end; watch its memory in a run of its own."""
    found = {n: curve_of_workers("generate", "samples", n) for n in workers}
    out = bench.folder / "out"
    for count in counts:
        for number in range(bench.rounds + 1):
            for jobs, curve in found.items():
                command = bench.case.command(
                    out, count, f"--jobs={jobs}", image_size=IMAGE_SIZE
                )
                started, last = bench.clock(), number == bench.rounds
                peak = run(command, watch=last)
                if last:
                    curve.peaks[count] = peak
                else:
                    add_pass(curve, count, bench.clock() - started)
                shutil.rmtree(out)
                os.sync()  # what was written mustn't burden who comes next
    return [*found.values()]


@benchmark(
    "growth", "Growth", notes=NOTES, case=True, rounds=3, clock=True, folder=True
)
@click.option(
    "--samples", type=COUNT, multiple=True, default=SAMPLES, help="Generated."
)
@click.option(
    "--recipe-samples",
    type=COUNT,
    multiple=True,
    default=SAMPLES,
    help="Without pixels.",
)
@click.option("--runs", type=COUNT, multiple=True, default=(1, 4, 16, 64, 1_000))
@click.option("--workers", type=COUNT, multiple=True, default=(1, 2, 4))
def main(
    bench: Bench,
    samples: tuple[int, ...],
    recipe_samples: tuple[int, ...],
    runs: tuple[int, ...],
    workers: tuple[int, ...],
) -> None:
    """Measure growth with samples, runs and workers; write OUT.json and OUT.md."""
    bench.report.settings["image size"] = f"{IMAGE_SIZE} px"
    found = measure_recipe(bench, recipe_samples)
    found += measure_runs(bench, runs)
    found += measure_workers(bench, runs, workers)
    found += measure_generate(bench, samples, workers)
    bench.report.tables += make_tables(found)
    bench.report.passes += map(asdict, found)


if __name__ == "__main__":
    main()
