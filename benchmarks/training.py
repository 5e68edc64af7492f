"""Whole trainings of runs as the benchmark runs them: images/s, memory, data stall.

python -m benchmarks.training grids/quick.yaml --set epochs=2
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from threading import Event, Thread
from typing import Any

import click
import torch

from benchmarks.common import Lap, Table
from benchmarks.options import PATH, Bench, benchmark
from reff_bench.grid.config import RunConfig
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.results.run import RunProgress
from reff_bench.train.machine import find_context
from reff_bench.train.run import train_run

Facts = dict[str, Any]
HEAD = ["what", "images/s", "of baseline", "peak memory, MiB", "data stall, %"]
HEAD += ["GPU busy, %", "training, s", "all, s"]
POLL_SECONDS = 0.2


class BusyShare:
    """How much of the time a GPU is busy, by the driver's own count.

    That is the share of the time in which some kernel ran, whoever's.

    Args:
        device: watched if it is a GPU.
    """

    def __init__(self, device: str) -> None:
        """Count nothing yet."""
        self._device = torch.device(device)
        self._counting, self._done = Event(), Event()
        self._samples: list[float] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Ask the driver again and again within the block."""
        thread = Thread(target=self._watch, daemon=True)
        if self._device.type == "cuda":
            thread.start()
        try:
            yield
        finally:
            self._done.set()

    def start(self) -> None:
        """Count from now on."""
        self._counting.set()

    @property
    def mean(self) -> float | None:
        """The share in [0, 1], or None where it can't be had."""
        found = self._samples
        return sum(found) / len(found) if found else None

    def _watch(self) -> None:
        while not self._done.wait(POLL_SECONDS):
            share = ask_driver(self._device)
            if share is None:
                return
            if self._counting.is_set() and not self._done.is_set():
                self._samples.append(share)


def ask_driver(device: torch.device) -> float | None:
    """Return the share of the last moments in which a GPU was busy, in [0, 1]."""
    try:
        return torch.cuda.utilization(device) / 100
    except (ModuleNotFoundError, RuntimeError):  # no pynvml
        pass
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    which = str(device.index or 0) if uuid is None else f"GPU-{uuid}"
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "-i", which]
    try:
        done = subprocess.run(
            [*command, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    said = done.stdout.strip()
    return int(said) / 100 if said.isdigit() else None


def measure(
    config: RunConfig, device: str, data_root: Path | None, cache_dir: Path | None
) -> Facts:
    """Train a run; return its record with `busy_share` and `all_seconds`."""
    busy = BusyShare(device)

    def report(progress: RunProgress) -> None:
        if progress.stage == "training":
            busy.start()

    with tempfile.TemporaryDirectory() as out, busy.watching():
        start = time.perf_counter()
        record = train_run(
            config,
            Path(out) / "cells" / "one",
            data_root=data_root,
            cache_dir=cache_dir,
            device=device,
            report=report,
        )
        seconds = time.perf_counter() - start
    return {**record, "busy_share": busy.mean, "all_seconds": seconds}


def measure_alone(*arguments: Any) -> Facts:
    """Measure in a process of its own: memory on a CPU is the process's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def one_of_each(configs: tuple[RunConfig, ...]) -> dict[str, RunConfig]:
    """Return the first run of every method."""
    found: dict[str, RunConfig] = {}
    for config in configs:
        found.setdefault(config.method, config)
    return found


def make_table(facts: dict[str, Facts]) -> Table:
    """Return one row per method."""
    base = facts.get("baseline", {}).get("images_per_second")
    rows = []
    for name, one in facts.items():
        speed = one["images_per_second"]
        busy = one["busy_share"]
        rows.append(
            [
                name,
                f"{speed:,.0f}",
                f"{speed / base:.2f}" if base else "",
                f"{one['peak_memory_bytes'] / 2**20:,.0f}",
                f"{100 * one['data_stall_share']:.1f}",
                "not known" if busy is None else f"{100 * busy:.0f}",
                f"{one['train_seconds']:.1f}",
                f"{one['all_seconds']:.1f}",
            ]
        )
    return Table(HEAD, rows)


@benchmark("training", "Whole trainings", device="cpu")
@click.argument("grid", type=click.Path(exists=True, path_type=Path))
@click.option("--set", "overrides", multiple=True, help="As of `reff-bench run`.")
@click.option("--data-root", type=PATH, help="MNIST and DTD.")
@click.option("--cache-dir", type=PATH, help="[user's cache]")
def main(bench: Bench, grid: Path, overrides: tuple[str, ...]) -> None:
    """Train the first run of every method of GRID, one after another."""
    configs = one_of_each(expand(load_grid(grid, overrides)))
    one, report, case = next(iter(configs.values())), bench.report, bench.case
    machine = find_context(bench.device, one.precision)
    report.settings |= {
        "device": machine.describe() if machine.is_gpu else bench.device,
        "threads": str(one.threads),
        "cells": f"{grid} {' '.join(overrides)}".strip(),
        "net": f"{one.backbone}, batch {one.batch_size}, {one.image_size} px",
        "arithmetic": str(machine.autocast or "float32").removeprefix("torch."),
    }
    facts: dict[str, Facts] = {}
    for method, config in configs.items():
        facts[method] = measure_alone(
            config, bench.device, case.data_root, case.cache_dir
        )
        speed = facts[method]["images_per_second"]
        seconds = facts[method]["train_seconds"]
        cores = 1 if machine.is_gpu else config.threads
        report.laps[method] = [Lap(seconds, round(speed * seconds), cores)]
        click.echo(f"{speed:>10,.0f} images/s  {method}")
    report.tables.append(make_table(facts))
    report.passes.extend(facts.values())
    worst = max(facts, key=lambda name: facts[name]["data_stall_share"])
    stall = 100 * facts[worst]["data_stall_share"]
    report.notes.append(f"data stall at most {stall:.1f} % ({worst}); asked under 3 %")


if __name__ == "__main__":
    main()
