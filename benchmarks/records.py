"""What the commands that read records cost: processor time and memory by runs.

python -m benchmarks.records
"""

import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.common import ROOT, Table, processor_seconds
from benchmarks.options import Bench, benchmark
from reff_bench.grid.config import RunConfig
from reff_bench.grid.load import load_grid
from reff_bench.results.collected import read_records
from reff_bench.results.folder import find_runs
from reff_bench.results.json_file import Fields
from reff_bench.results.panels import PANELS_NAME, write_panels
from reff_bench.results.plan import write_plan
from reff_bench.results.run import (
    EVALUATION_NAME,
    RunFiles,
    make_record,
    run_folder,
    write_record,
)
from reff_bench.runner.run import plan_grid

ASKED = {"status": 2, "table": 3, "report": 15}  # s of the processor, of 2,000 runs
EACH = 100  # runs of a seed: 4 values of tex, 4 methods at 6 budgets and Baseline
GRID = """\
name: made-up
data: {{kind: textured_mnist, digits: embedded, textures: embedded, image_size: 32,
       train: 2000, val: 200, test: 200, bg: 0.0, test_bg: 1.0}}
axes:
  method: [baseline, reff, reff_l1, reff_l2, abn]
  annotations: [1, 5, 10, 20, 50, all]
  tex: [0.0, 0.2, 0.4, 0.6]
  seed: [{seeds}]
training: {{backbone: resnet_small, epochs: 8}}
tables: [tab2, tab3]
"""
# The command, and what the kernel knows of its memory when it ends.
CALL = """
import sys
from pathlib import Path
from reff_bench.cli import main
try:
    main(sys.argv[2:])
finally:
    Path(sys.argv[1]).write_text(Path("/proc/self/status").read_text())
"""
LIKE = ROOT / "results" / "pilot" / "records.jsonl"
NOTES = [
    "Processor time of the whole command, from the interpreter's start; memory is the "
    "largest resident set.",
    "Records and evaluations have the fields of the pilot's real ones; every run has "
    "example maps of 8 images. 2 in 100 runs have failed, 1 in 100 is pending.",
]


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of the processor and memory at the most that one command took."""

    command: str
    runs: int
    seconds: float
    mebibytes: float


def write_runs(out: Path, count: int) -> None:
    """Write a folder of so many made-up runs.

    Raises:
        UsageError: the grid has no such number of runs.
    """
    if count % EACH:
        raise click.UsageError(f"--runs {count}: give a multiple of {EACH}")
    grid = out.with_suffix(".yaml")
    seeds = ", ".join(map(str, range(count // EACH)))
    grid.write_text(GRID.format(seeds=seeds), encoding="utf-8")
    plan = plan_grid(load_grid(grid))
    write_plan(out, plan)
    write_panels(out, _panels())
    models = cycle(read_records(LIKE).runs.values())
    for number, run in enumerate(find_runs(out, plan).runs()):
        if number % 100 != 50:
            _write_run(out, run.settings, next(models), failed=number % 50 == 25)


def _write_run(out: Path, config: RunConfig, like: RunFiles, *, failed: bool) -> None:
    folder = run_folder(out, config)
    if failed:
        reason = "the loss is NaN at step 3"
        write_record(folder, make_record(config, "failed", reason=reason))
        return
    rng = np.random.default_rng(config.seed)
    own = {"cell_id", "status", "reason", *RunConfig.model_fields}
    measured = {key: v for key, v in (like.record or {}).items() if key not in own}
    write_record(folder, make_record(config, "done", **measured))
    write_record(folder, dict(_moved(like.evaluation or {}, rng)), EVALUATION_NAME)
    for name in (PANELS_NAME, f"{PANELS_NAME}.sha256"):
        (folder / name).hardlink_to(out / name)


def _moved(values: Fields, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    """Yield the same metrics, fractions a little apart."""
    for name, value in values.items():
        if isinstance(value, float):
            yield name, float(np.clip(value + rng.normal(0, 0.02), 0, 1))
        elif name != "cell_id":
            yield name, value


def _panels() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    maps = {f"stage{n}": rng.random((8, 32 >> n, 32 >> n)) for n in (1, 2, 3, 4)}
    return {
        "image": rng.integers(0, 256, (8, 32, 32, 3), np.uint8),
        "mask": rng.integers(0, 2, (8, 32, 32), np.uint8),
        "pseudo_mask": rng.random((8, 32, 32)),
        **maps,
        "attention": maps["stage4"],
        **{name: np.arange(8) for name in ("label", "index", "predicted")},
        "class_names": np.array([str(digit) for digit in range(10)]),
    }


def measure(command: str, out: Path, count: int) -> Usage:
    """Run a command as its user would; `status` ends with 1, since runs have failed.

    Raises:
        ClickException: the command has failed.
    """
    before, memory = processor_seconds(), out.with_suffix(".memory")
    done = subprocess.run(
        [sys.executable, "-c", CALL, memory, command, out],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != (command == "status"):
        raise click.ClickException(f"reff-bench {command} has failed:\n{done.stderr}")
    peak = re.findall(r"VmHWM:\s*(\d+) kB", memory.read_text(encoding="utf-8"))
    seconds = processor_seconds() - before
    return Usage(command, count, seconds, int(peak[0]) / 1024)


def make_table(found: Sequence[Usage], counts: Sequence[int]) -> Table:
    """Return medians, a row for each command."""
    rows = []
    for command, asked in ASKED.items():
        passes = [
            [one for one in found if (one.command, one.runs) == (command, count)]
            for count in counts
        ]
        seconds = [statistics.median(one.seconds for one in some) for some in passes]
        memory = [statistics.median(one.mebibytes for one in some) for some in passes]
        values = [f"{value:.3g}" for value in (*seconds, *memory)]
        rows.append([f"reff-bench {command}", *values, f"{asked} s at 2,000"])
    heads = [f"{unit}, {n:,} runs" for unit in ("s", "MiB") for n in counts]
    return Table(["command", *heads, "asked"], rows)


@benchmark("records", "Commands that read records", notes=NOTES, rounds=3, folder=True)
@click.option("--runs", type=click.IntRange(EACH), multiple=True, default=(500, 2_000))
def main(bench: Bench, runs: tuple[int, ...]) -> None:
    """Measure status, table and report; write OUT.json and OUT.md."""
    outs = {count: bench.folder / f"runs-{count}" for count in runs}
    for count, out in outs.items():
        write_runs(out, count)
    found = [
        measure(command, out, count)
        for _ in range(bench.rounds)
        for command in ASKED
        for count, out in outs.items()
    ]
    bench.report.tables.append(make_table(found, runs))
    bench.report.passes += map(asdict, found)


if __name__ == "__main__":
    main()
