"""All that a GPU is asked for, in one run of under nine minutes: one table last.

python -m benchmarks.gpu --device cuda --out benchmarks/results/gpu
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.common import ROOT, Table, work_folder
from benchmarks.gpu_rows import (
    Result,
    Row,
    compared_rows,
    run_rows,
    training_rows,
)
from benchmarks.options import PATH, Bench, benchmark

HEAD = ["part", "what", "value", "asked"]
GRACE_SECONDS = 5.0  # between asking a part to end and killing it
FAILED = "failed"
CONFIGS = """\
name: runs
data:
  digits: embedded
  textures: embedded
  image_size: 32
  train: {train}
  val: 300
  test: 300
  bg: 0.0
axes:
  method: [reff]
  tex: [0.0]
  seed: [0, 1, 2, 3]
training: {{backbone: resnet_small, epochs: {epochs}, threads: 1}}
"""
TRAINING = """\
name: training
data:
  digits: embedded
  textures: embedded
  image_size: {size}
  train: {train}
  val: 64
  test: 64
  bg: 0.0
axes:
  method: [baseline, reff, reff_plus, abn, background_swap]
  tex: [0.0]
training: {{backbone: {network}, weights: null, epochs: 1, batch_size: {batch}, threads:
1}}
"""
RUN_GRID = "from reff_bench.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done.

    Attributes:
        network: the large one.
        image_size: of it, in px.
        batch: of it.
        rounds: of each comparison.
        seconds: the least of a round.
        train: images of a training of the large network.
        config: images and epochs of each of several small runs.
        samples: rendered in a pass.
    """

    network: str
    image_size: int
    batch: int
    rounds: int
    seconds: float
    train: int
    config: tuple[int, int]
    samples: int


FULL = Size("resnet50", 224, 64, 3, 0.5, 2560, (5000, 3), 4096)
TINY = Size("resnet_small", 32, 8, 1, 0.0, 64, (90, 1), 64)


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark, run in a process of its own.

    Attributes:
        name: of its files in the folder of results.
        command: the words after the interpreter.
        limit: seconds that it may take.
        rows: from what it has written to its rows of the last table.
    """

    name: str
    command: list[str]
    limit: float
    rows: Callable[[Result], Iterator[Row]]


def make_parts(
    out: Path, device: str, size: Size, source: list[str], folder: Path
) -> list[Part]:
    """Return what is run, what matters most first.

    Args:
        out: where each writes its results.
        device: of torch.
        size: how much.
        source: where the digits and textures are, as the scripts take it.
        folder: for grids and runs; new.
    """
    on = ["--device", device]
    rounds = ["--rounds", str(size.rounds), "--seconds", str(size.seconds)]
    image = ["--image-size", str(size.image_size)]
    large = ["--backbone", size.network, "--batch-size", str(size.batch), *image]
    grid = folder / "training.yaml"
    grid.write_text(
        TRAINING.format(
            size=size.image_size,
            train=size.train,
            network=size.network,
            batch=size.batch,
        )
    )
    commands = {
        "step_large_bfloat16": ["step", *large, *rounds, "--precision", "bfloat16"],
        "render": ["render", *source, *rounds, "--samples", str(size.samples)],
        "training": ["training", str(grid)],
        "step_small": ["step", *rounds],
        "step_large_float32": ["step", *large, *rounds, "--precision", "float32"],
        "step_small_compiled": [
            *("step", *rounds, "--precision", "bfloat16", "--compile")
        ],
    }
    rows = {"training": training_rows}
    parts = [
        Part(
            name,
            ["-m", f"benchmarks.{words[0]}", *words[1:], *on, "--out", str(out / name)],
            LIMITS[name],
            rows.get(name, compared_rows),
        )
        for name, words in commands.items()
    ]
    return [*parts[:4], *_config_parts(on, size, folder), *parts[4:]]


# They add up to more than the whole may take: a part seldom needs all of its own.
LIMITS = {
    **{"step_large_bfloat16": 120.0, "render": 80.0, "training": 130.0},
    **{"step_small": 60.0, "step_large_float32": 150.0, "step_small_compiled": 150.0},
}
CELLS_LIMIT = 70.0
TOTAL_SECONDS = 520.0


def _config_parts(on: list[str], size: Size, folder: Path) -> Iterator[Part]:
    """Yield four small runs by 1, 2 and 4 processes on one device."""
    grid = folder / "cells.yaml"
    train, epochs = size.config
    grid.write_text(CONFIGS.format(train=train, epochs=epochs))
    for jobs in (1, 2, 4):
        name = f"cells_{jobs}"
        run = ["run", str(grid), *on, "--jobs", str(jobs), "--out", str(folder / name)]
        yield Part(name, ["-c", RUN_GRID, *run], CELLS_LIMIT, run_rows)


def run_part(part: Part, out: Path, limit: float) -> Row:
    """Run a part to its end; return a row that says how it went.

    Its output goes to `<name>.log`. A part that takes too long is ended, with all that
    it has started.
    """
    if limit <= 0:
        return [part.name, f"{FAILED}: no time was left for it", "0.0 s", ""]
    began = time.monotonic()
    with (out / f"{part.name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *part.command],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
            said = "done" if code == 0 else f"{FAILED}, exit code {code}"
        except subprocess.TimeoutExpired:
            said = f"{FAILED}: longer than {limit:.0f} s"
        finally:
            _end(process)
    seconds = time.monotonic() - began
    return [part.name, said, f"{seconds:.1f} s", ""]


def name_gpu(device: str) -> str:
    """Return the name of a GPU, asked in a process that doesn't stay on it."""
    code = f"import torch; print(torch.cuda.get_device_name({device!r}))"
    if not device.startswith("cuda"):
        return "none"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "not known"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process with all that it has started."""
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, wanted)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)


def read_rows(part: Part, out: Path, how: Row) -> list[Row]:
    """Return a part's rows, or one that says why there are none."""
    if how[1].startswith(FAILED):
        return [[part.name, how[1], f"see {part.name}.log", ""]]
    path = out / f"{part.name}.json"
    try:
        result = json.loads(path.read_text()) if path.is_file() else {}
        seconds = float(how[2].split()[0])
        return list(part.rows({**result, "part": part.name, "wall_seconds": seconds}))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return [[part.name, f"{FAILED}: unreadable results, {error!r}", "", ""]]


@benchmark("gpu", "All of a GPU", device="cuda")
@click.option("--data-root", type=PATH, help="MNIST and DTD.")
@click.option("--tiny", is_flag=True, help="Try the script itself, on a CPU.")
@click.option("--only", multiple=True, help="Names of parts; all by default.")
def main(bench: Bench, tiny: bool, only: tuple[str, ...]) -> None:
    """Run every part, whatever becomes of the others; write and print one table."""
    out, root, device = bench.out.absolute(), bench.case.data_root, bench.device
    out.mkdir(parents=True, exist_ok=True)
    bench.out = out / "gpu"
    source = ["--data-root", str(root.absolute())] if root else ["--embedded"]
    table, times = Table(HEAD, []), Table(["part", "how it went", "time", ""], [])
    bench.report.settings |= {"device": device, "GPU": name_gpu(device)}
    bench.report.tables += [times, table]
    try:
        with work_folder(None) as folder:
            parts = make_parts(out, device, TINY if tiny else FULL, source, folder)
            chosen = [part for part in parts if not only or part.name in only]
            _run_all(chosen, out, times, table)
    except KeyboardInterrupt:  # what was found until then is written
        bench.note("interrupted")


def _run_all(parts: list[Part], out: Path, times: Table, table: Table) -> None:
    """Run the parts one after another; fill the tables."""
    start = time.monotonic()
    for part in parts:
        left = TOTAL_SECONDS - (time.monotonic() - start)
        how = run_part(part, out, min(part.limit, left))
        click.echo(f"{how[2]:>10}  {part.name}: {how[1]}")
        times.rows.append(how)
        table.rows.extend(read_rows(part, out, how))


if __name__ == "__main__":
    main()
