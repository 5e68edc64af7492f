"""How time and memory grow with samples, runs and workers.

python -m benchmarks.growth --data-root ../shared/data
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.clocks import CLOCKS, SHARED
from benchmarks.common import Report, describe_machine, work_folder, write_report
from benchmarks.curves import Timing, make_tables
from benchmarks.growth_runs import measure_runs, measure_workers
from benchmarks.options import COUNT, benchmark

SAMPLES = (10**3, 10**4, 10**5, 10**6)
if TYPE_CHECKING:
    from benchmarks.case import Case

NOTES = [
    "A slope is that of log time against log count: 1 is linear, less where a fixed "
    "start weighs; the slope at the end is that of the last two counts.",
    "Peak memory of generate: unshared (Anonymous of smaps_rollup), summed over all of "
    "its processes, in a run of its own. Of all else: what Python and numpy allocate "
    "meanwhile (tracemalloc), in a pass of its own.",
]


@benchmark("growth", case=True, rounds=3, clock=True, folder=True)
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
    case: "Case",
    samples: tuple[int, ...],
    recipe_samples: tuple[int, ...],
    runs: tuple[int, ...],
    workers: tuple[int, ...],
    rounds: int,
    clock: str,
    folder: Path | None,
    out: Path,
) -> None:
    """Measure growth with samples, runs and workers; write OUT.json and OUT.md."""
    # A worker imports this module, and as in a real run it shouldn't load torch.
    from benchmarks.growth_samples import (
        IMAGE_SIZE,
        Bench,
        measure_generate,
        measure_recipe,
    )

    with work_folder(folder) as work:
        settings = {
            "sources": str(case),
            "rounds": str(rounds),
            "clock": f"{clock} time",
        }
        settings |= {"image size": f"{IMAGE_SIZE} px", **describe_machine(work)}
        report = Report("Growth", settings, notes=NOTES.copy())
        report.notes += [SHARED] if clock == "processor" else []
        timing = Timing(CLOCKS[clock], rounds)
        bench = Bench(case, work, samples, recipe_samples, workers, timing)
        found = measure_recipe(bench)
        found += measure_runs(work, runs, timing)
        found += measure_workers(work, runs, workers, timing)
        found += measure_generate(bench)
    report.tables += make_tables(found)
    report.passes += map(asdict, found)
    write_report(report, out)


if __name__ == "__main__":
    main()
