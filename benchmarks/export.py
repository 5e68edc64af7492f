"""Speed and memory of `texturedmnist export`, and what a PNG's level costs.

python -m benchmarks.export --data-root ../shared/data
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core

import io
import shutil
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.case import COMMAND, folder_bytes, run
from benchmarks.common import Lap, Ratio, one_core, processor_seconds
from benchmarks.options import Bench, benchmark
from texturedmnist.interop.export.base import LEVEL, encode
from texturedmnist.manifest import read_manifest
from texturedmnist.shards import map_pixels

LAYOUTS = ("folder", "parquet")
ASKED = 150  # pairs a second and core
LEVELS = (1, 2, 3, 6, 9)
TRIED = 100  # images that are encoded with each level


@dataclass(slots=True)
class Exports:
    """What is exported, and the processor's seconds so far, by contender."""

    bench: Bench
    samples: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def make(self, samples: int) -> Path:
        """Generate a dataset, once; return its folder."""
        dataset = self.bench.folder / f"tm{samples}"
        if not dataset.exists():
            run(self.bench.case.command(dataset, samples))
        return dataset

    def command(self, samples: int, layout: str, jobs: int) -> list[str]:
        """Return the command line of an export."""
        options = [f"--layout={layout}", f"--out={self.bench.folder / 'out'}"]
        return [COMMAND, "export", str(self.make(samples)), *options, f"--jobs={jobs}"]

    def export(self, name: str) -> Lap:
        """Time an export on one core, or one that finds everything there already."""
        layout, _, again = name.partition(", ")
        command = self.command(self.samples, layout, 1)
        if again:
            run(command)
        before, started = processor_seconds(), time.perf_counter()
        with one_core():
            run(command)
        seconds = time.perf_counter() - started
        self.seconds.setdefault(name, []).append(processor_seconds() - before)
        shutil.rmtree(self.bench.folder / "out")
        return Lap(seconds, self.samples)


def measure_speed(exports: Exports) -> None:
    """Time both layouts, fresh and with everything there."""
    names = [f"{layout}{again}" for layout in LAYOUTS for again in ("", ", all there")]
    exports.bench.compete({name: partial(exports.export, name) for name in names})
    for name, found in exports.seconds.items():
        rates = sorted(exports.samples / seconds for seconds in found)
        asked = "" if "," in name else f"at least {ASKED}"
        title = f"samples per second of processor time, {name}"
        ratio = Ratio(title, float(np.median(rates)), rates[0], rates[-1], asked)
        exports.bench.report.ratios.append(ratio)


def measure_levels(exports: Exports) -> None:
    """Note what each compression level of PNG takes and gives."""
    dataset = exports.make(exports.samples)
    images, masks = map_pixels(dataset / read_manifest(dataset).shards[0].file)
    for level in LEVELS:
        size, seconds = encode_all(images[:TRIED], level)
        chosen = " (chosen)" if level == LEVEL else ""
        exports.bench.note(
            f"PNG level {level}{chosen}: {size / 1024:.1f} KiB and {1e3 * seconds:.2f} "
            "ms of processor time an image."
        )
    started = time.process_time()
    sizes = [len(encode(mask)) for mask in masks[:TRIED]]
    seconds = (time.process_time() - started) / TRIED
    size = float(np.mean(sizes)) / 1024
    exports.bench.note(
        f"A mask, one bit a pixel: {size:.2f} KiB, {1e3 * seconds:.2f} ms."
    )


def encode_all(images: NDArray[np.uint8], level: int) -> tuple[float, float]:
    """Encode images; return bytes and processor seconds of one."""
    started, size = time.process_time(), 0
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", compress_level=level)
        size += len(buffer.getvalue())
    return size / len(images), (time.process_time() - started) / len(images)


def measure_memory(exports: Exports) -> None:
    """Note the peak unshared memory for a quarter and all of the samples."""
    out = exports.bench.folder / "out"
    for layout in LAYOUTS:
        for samples in (exports.samples // 4, exports.samples):
            peak = run(exports.command(samples, layout, 2), watch=True)
            size = folder_bytes(out)
            shutil.rmtree(out)
            exports.bench.note(
                f"{layout}, {samples:,} samples, 2 jobs: {peak / 2**20:.0f} MiB of "
                f"unshared memory at the peak, summed over all processes; "
                f"{size / 1e6:,.0f} MB written (asked: the same memory for both)."
            )


@benchmark("export", "Exporting, 224 px", case=True, rounds=3, folder=True)
@click.option("--samples", type=click.IntRange(TRIED), default=10_000)
def main(bench: Bench, samples: int) -> None:
    """Measure `texturedmnist export`; write OUT.json and OUT.md."""
    bench.report.settings["samples"] = f"{samples:,}"
    exports = Exports(bench, samples)
    measure_levels(exports)
    measure_speed(exports)
    measure_memory(exports)


if __name__ == "__main__":
    main()
