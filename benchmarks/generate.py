"""Speed and memory of `texturedmnist generate`, beside the disk and a plain script."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core

import shutil
import sys
from collections.abc import Callable
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.case import BG, IMAGE_SIZE, TEX, Case, folder_bytes, run
from benchmarks.common import Lap, count_cores, one_core, stopwatch
from benchmarks.options import Bench, benchmark
from texturedmnist import TexturedMNIST
from texturedmnist.plan import plan_samples
from texturedmnist.sources import TextureBank

OURS, OURS_ONE = "generate, all cores", "generate, one core"
RAW, ORDINARY = "raw write with fsync", "ordinary script"
FLY_BATCH, FLY_SINGLE = "on the fly, batches of 64", "on the fly, one by one"
BLOCK_BYTES = 8 << 20
BATCH = 64
LEAST_SECONDS = 1.0


def timed_command(command: list[str], samples: int, cores: int = 1) -> Lap:
    """Run a command and time it, start of the interpreter included."""

    def work() -> int:
        run(command)
        return samples

    return stopwatch(work, cores=cores)


def generate(bench: Bench, samples: int, *options: str, cores: int = 1) -> Lap:
    """Time the command from start to end; remove what it made."""
    out = bench.folder / "ours"
    lap = timed_command(bench.case.command(out, samples, *options), samples, cores)
    shutil.rmtree(out)
    return lap


def generate_alone(bench: Bench, samples: int) -> Lap:
    """Time the command with one process on one core."""
    with one_core():
        return generate(bench, samples, "--jobs=1")


def ordinary(bench: Bench, samples: int) -> Lap:
    """Time the ordinary script."""
    out, script = bench.folder / "ordinary.h5", Path(__file__).with_name("ordinary.py")
    values = bench.folder / "inputs", out, samples, IMAGE_SIZE, BG, TEX
    with one_core():
        lap = timed_command([sys.executable, str(script), *map(str, values)], samples)
    out.unlink()
    return lap


def real_blocks(dataset: TexturedMNIST) -> list[memoryview]:
    """Return about 64 MiB of rendered images in blocks of 8 MiB."""
    images, masks, _ = dataset.read(range(min(len(dataset), 320)))
    pixels = np.concatenate([images.ravel(), masks.ravel()])
    starts = range(0, max(1, len(pixels) - BLOCK_BYTES + 1), BLOCK_BYTES)
    return [pixels[start : start + BLOCK_BYTES].data for start in starts]


def raw_write(path: Path, blocks: list[memoryview], size: int, samples: int) -> Lap:
    """Write `size` bytes to one file in one stream, bring them to the disk."""

    def work() -> int:
        left = size
        with path.open("wb", buffering=0) as file:
            for block in cycle(blocks):
                left -= file.write(block[:left])
                if not left:
                    break
            os.fsync(file.fileno())
        return samples

    lap = stopwatch(work)
    path.unlink()
    return lap


def on_the_fly(
    case: Case, indices: NDArray[np.int64], read: Callable[..., object]
) -> Lap:
    """Plan the samples and read them with `read`, batch by batch, on one core."""
    recipe, index = case.recipe(len(indices)), case.open_sources().index

    def work() -> int:
        plan_samples(recipe, index, "train", indices)
        for batch in np.split(indices, range(BATCH, len(indices), BATCH)):
            read(batch)
        return len(indices)

    with one_core():
        return stopwatch(work, least=LEAST_SECONDS)


def write_inputs(case: Case, folder: Path) -> None:
    """Lay out for the ordinary script the very digits and textures that ours reads."""
    recipe, sources = case.recipe(1), case.open_sources()
    folder.mkdir()
    development = slice(sources.digits.development)
    np.save(folder / "digits.npy", sources.digits.images[development])
    np.save(folder / "labels.npy", sources.digits.labels[development])
    banks = {
        "digit_textures": sources.digit_textures,
        "background_textures": sources.background_textures,
    }
    for role, bank in banks.items():
        real = case.data_root if getattr(recipe, role) == "dtd" else None
        for number in range(len(bank)):
            write_texture(bank, number, folder / role, real)


def write_texture(
    bank: TextureBank, number: int, folder: Path, data_root: Path | None
) -> None:
    """Link DTD's own JPEG; write an embedded texture as one."""
    path = (folder / bank.names[number]).with_suffix(".jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    if data_root is None:
        Image.fromarray(bank.image(number)).save(path, quality=90)
    else:
        images = data_root.resolve() / "dtd" / "dtd" / "images"
        path.symlink_to(images / bank.names[number])


def measure_speed(bench: Bench, samples: int, ordinary_samples: int) -> None:
    """Compare ours with the disk and the ordinary script."""
    first = bench.folder / "first"  # caches are full then
    run(bench.case.command(first, samples))
    size = folder_bytes(first)
    shutil.rmtree(first)
    bench.report.settings["bytes written"] = f"{size:,}"
    write_inputs(bench.case, bench.folder / "inputs")
    fly = bench.case.on_the_fly(max(samples, BATCH))
    order = np.random.default_rng(0).permutation(len(fly))
    blocks, raw = real_blocks(fly), bench.folder / "raw"

    def one_by_one(batch: NDArray[np.int64]) -> None:
        for index in batch:
            fly[index]

    bench.compete(
        {
            OURS: lambda: generate(bench, samples, cores=count_cores()),
            RAW: lambda: raw_write(raw, blocks, size, samples),
            OURS_ONE: lambda: generate_alone(bench, samples),
            ORDINARY: lambda: ordinary(bench, ordinary_samples),
            FLY_BATCH: lambda: on_the_fly(bench.case, order, fly.read),
            FLY_SINGLE: lambda: on_the_fly(bench.case, order, one_by_one),
        }
    )
    either = f"at most 1.3, or {OURS_ONE} >= 1,200 samples/s/core"
    bench.compare(OURS, RAW, either)
    bench.compare(OURS_ONE, RAW)
    bench.compare(ORDINARY, OURS, "at least 20")
    bench.compare(ORDINARY, OURS_ONE)
    bench.note("Asked of on the fly: at least 3,000 samples/s/core.")


def measure_linearity(bench: Bench, samples: int) -> None:
    """Compare the time per sample of n, 2n and 4n samples, one process each."""
    counts = [samples // 4, samples // 2, samples]
    names = [f"generate {count:,}, one core" for count in counts]
    contenders = [partial(generate_alone, bench, count) for count in counts]
    bench.compete(dict(zip(names, contenders, strict=True)))
    for one, other in pairwise(names):
        bench.compare(one, other, "1, and more where the start weighs")
    laps = bench.report.laps
    n, twice, whole = (np.median([lap.seconds for lap in laps[k]]) for k in names)
    first, second = (twice - n) / counts[0], (whole - twice) / counts[1]
    bench.note(
        f"Each sample more costs {1e3 * first:.3f} ms from {counts[0]:,} to "
        f"{counts[1]:,}, {1e3 * second:.3f} ms from there to {counts[2]:,} (linear: "
        "the same)."
    )


def measure_memory(bench: Bench, counts: tuple[int, ...], size: int) -> None:
    """Note the peak unshared memory of runs of different length."""
    out = bench.folder / "memory"
    for count in counts:
        peak = run(bench.case.command(out, count, image_size=size), watch=True)
        shutil.rmtree(out)
        bench.note(
            f"Peak unshared memory (Anonymous of smaps_rollup, summed over all "
            f"processes) of {count:,} samples at {size} px with {count_cores()} jobs: "
            f"{peak / 2**30:.2f} GiB (asked: at most 1.5, the same for both lengths)."
        )


@benchmark(
    "generate",
    "Generating, 224 px",
    case=True,
    backgrounds=True,
    rounds=5,
    folder=True,
)
@click.option("--samples", type=click.IntRange(4), default=12_000, help="6 shards.")
@click.option("--ordinary-samples", type=click.IntRange(1), default=600)
@click.option("--memory", is_flag=True, help="Also 10,000 and 70,000 samples' memory.")
@click.option("--full", is_flag=True, help="Memory at 224 px (14 GB), not at 64.")
@click.option("--memory-samples", type=int, nargs=2, default=(10_000, 70_000))
@click.option("--linearity", is_flag=True, help="Also n / 4, n / 2 and n samples.")
def main(
    bench: Bench,
    samples: int,
    ordinary_samples: int,
    memory: bool,
    full: bool,
    memory_samples: tuple[int, int],
    linearity: bool,
) -> None:
    """Measure `texturedmnist generate`; write OUT.json and OUT.md."""
    torch.set_num_threads(1)
    bench.report.settings["samples"] = f"{samples:,}"
    measure_speed(bench, samples, ordinary_samples)
    if linearity:
        measure_linearity(bench, samples)
    if memory:
        measure_memory(bench, memory_samples, IMAGE_SIZE if full else 64)


if __name__ == "__main__":
    main()
