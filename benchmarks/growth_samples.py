"""How making and opening data grows with its samples."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.case import Case, finish, start
from benchmarks.curves import Curve, Timing, add_pass, measure_work, name_workers
from benchmarks.memory import peak_memory
from texturedmnist import TexturedMNIST
from texturedmnist.plan import plan_samples

IMAGE_SIZE = 32  # px: 4 KiB a sample
SHARD = 2_000  # samples that are planned at once


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured.

    Attributes:
        case: the samples' sources.
        folder: for outputs, removed in the end.
        counts: samples that are generated.
        recipe_counts: samples that are planned and opened.
        workers: numbers of processes.
        timing: how time is taken.
    """

    case: Case
    folder: Path
    counts: Sequence[int]
    recipe_counts: Sequence[int]
    workers: Sequence[int]
    timing: Timing


def measure_generate(bench: Bench) -> list[Curve]:
    """Time the command from start to end; watch its memory in a run of its own."""
    found = [Curve(f"generate, {name_workers(n)}", "samples") for n in bench.workers]
    for count in bench.counts:
        for _ in range(bench.timing.rounds):
            for curve, jobs in zip(found, bench.workers, strict=True):
                add_pass(curve, count, generate(bench, count, jobs)[0])
        for curve, jobs in zip(found, bench.workers, strict=True):
            curve.peaks[count] = generate(bench, count, jobs, watch=True)[1]
    return found


def generate(
    bench: Bench, count: int, jobs: int, *, watch: bool = False
) -> tuple[float, int]:
    """Make a folder and remove it; return seconds and, if watched, the peak's bytes."""
    out = bench.folder / "out"
    options = ("--jobs", str(jobs))
    command = bench.case.command(out, count, *options, image_size=IMAGE_SIZE)
    started = bench.timing.clock()
    process = start(command)
    peak = peak_memory(process) if watch else 0
    finish(process)
    seconds = bench.timing.clock() - started
    shutil.rmtree(out)
    os.sync()  # what was written mustn't burden who comes next
    return seconds, peak


def measure_recipe(bench: Bench) -> list[Curve]:
    """Time what a recipe costs without a pixel: plan, identity, opening, a batch."""
    sources = bench.case.open_sources()

    def plan(count: int) -> None:
        recipe = bench.case.recipe(count, IMAGE_SIZE)
        for first in range(0, count, SHARD):
            part = np.arange(first, min(first + SHARD, count))
            plan_samples(recipe, sources.index, "train", part)

    def identify(count: int) -> None:
        bench.case.open_sources().identity(bench.case.recipe(count, IMAGE_SIZE))

    def open_recipe(count: int) -> TexturedMNIST:
        return TexturedMNIST.from_recipe(
            bench.case.recipe(count, IMAGE_SIZE),
            data_root=bench.case.data_root,
            cache_dir=bench.case.cache_dir,
        )

    def first_batch(count: int) -> None:
        open_recipe(count).read(range(0, count, count // 64)[:64])

    works: dict[str, Callable[[int], object]] = {
        f"plan, {SHARD:,} at once": plan,
        "identity": identify,
        "from_recipe": open_recipe,
        "from_recipe and 64 samples from all over": first_batch,
    }
    return [
        measure_work(name, "samples", work, bench.recipe_counts, bench.timing)
        for name, work in works.items()
    ]
