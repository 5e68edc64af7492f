"""Speed and memory of `texturedmnist export`, and what a PNG's level costs.

python -m benchmarks.export --data-root ../shared/data
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core

import io
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.case import Case, finish, folder_bytes, run, start
from benchmarks.common import (
    Lap,
    Ratio,
    Report,
    describe_machine,
    one_core,
    run_rounds,
    work_folder,
    write_report,
)
from benchmarks.memory import peak_memory
from benchmarks.options import benchmark
from texturedmnist.interop.export.png import LEVEL, encode
from texturedmnist.manifest import read_manifest
from texturedmnist.shards import map_pixels

LAYOUTS = ("folder", "parquet")
ASKED = 150  # pairs a second and core
LEVELS = (1, 2, 3, 6, 9)
TRIED = 100  # images that are encoded with each level


@dataclass(frozen=True, slots=True)
class Bench:
    """What every contender needs.

    Attributes:
        case: the samples' sources.
        folder: for datasets and exports, removed in the end.
        samples: exported.
        cpu_seconds: of the exports so far, by contender.
    """

    case: Case
    folder: Path
    samples: int
    cpu_seconds: dict[str, list[float]]

    def make(self, samples: int) -> Path:
        """Generate a dataset, once; return its folder."""
        dataset = self.folder / f"tm{samples}"
        if not dataset.exists():
            run(self.case.command(dataset, samples))
        return dataset

    def command(self, dataset: Path, layout: str, jobs: int) -> list[str]:
        """Return the command line of an export."""
        script = self.case.command(dataset, 1)[0]
        options = [f"--layout={layout}", f"--out={self.folder / 'out'}"]
        return [script, "export", str(dataset), *options, f"--jobs={jobs}"]

    def export(self, name: str, layout: str, *, again: bool) -> Lap:
        """Time an export on one core, or one that finds everything there already."""
        command = self.command(self.make(self.samples), layout, 1)
        if again:
            run(command)
        before, started = _cpu_seconds(), time.perf_counter()
        with one_core():
            run(command)
        seconds = time.perf_counter() - started
        self.cpu_seconds.setdefault(name, []).append(_cpu_seconds() - before)
        shutil.rmtree(self.folder / "out")
        return Lap(seconds, self.samples)


def _cpu_seconds() -> float:
    """Return the processor seconds of all that this process has started and ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_speed(bench: Bench, rounds: int, report: Report) -> None:
    """Time both layouts, fresh and with everything there."""
    contenders: dict[str, Callable[[], Lap]] = {}
    for layout in LAYOUTS:
        for again in (False, True):
            name = f"{layout}, all there" if again else layout
            contenders[name] = partial(bench.export, name, layout, again=again)
    report.laps.update(run_rounds(contenders, rounds))
    for name, found in bench.cpu_seconds.items():
        rates = sorted(bench.samples / seconds for seconds in found)
        asked = "" if "," in name else f"at least {ASKED}"
        title = f"samples per second of processor time, {name}"
        median = float(np.median(rates))
        report.ratios.append(Ratio(title, median, rates[0], rates[-1], asked))


def measure_levels(bench: Bench, report: Report) -> None:
    """Note what each compression level of PNG takes and gives."""
    dataset = bench.make(bench.samples)
    images, masks = map_pixels(dataset / read_manifest(dataset).shards[0].file)
    for level in LEVELS:
        size, seconds = encode_all(images[:TRIED], level)
        chosen = " (chosen)" if level == LEVEL else ""
        report.notes.append(
            f"PNG level {level}{chosen}: {size / 1024:.1f} KiB and {1e3 * seconds:.2f} "
            "ms of processor time an image."
        )
    started = time.process_time()
    sizes = [len(encode(mask)) for mask in masks[:TRIED]]
    seconds = (time.process_time() - started) / TRIED
    report.notes.append(
        f"A mask, one bit a pixel: {np.mean(sizes) / 1024:.2f} KiB, "
        f"{1e3 * seconds:.2f} ms."
    )


def encode_all(images: NDArray[np.uint8], level: int) -> tuple[float, float]:
    """Encode images; return bytes and processor seconds of one."""
    started, size = time.process_time(), 0
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", compress_level=level)
        size += len(buffer.getvalue())
    return size / len(images), (time.process_time() - started) / len(images)


def measure_memory(bench: Bench, report: Report) -> None:
    """Note the peak unshared memory for a quarter and all of the samples."""
    for layout in LAYOUTS:
        for samples in (bench.samples // 4, bench.samples):
            process = start(bench.command(bench.make(samples), layout, 2))
            peak = peak_memory(process)
            finish(process)
            size = folder_bytes(bench.folder / "out")
            shutil.rmtree(bench.folder / "out")
            report.notes.append(
                f"{layout}, {samples:,} samples, 2 jobs: {peak / 2**20:.0f} MiB of "
                f"unshared memory at the peak, summed over all processes; "
                f"{size / 1e6:,.0f} MB written (asked: the same memory for both)."
            )
            click.echo(report.notes[-1])


@benchmark("export", case=True, rounds=3, folder=True)
@click.option("--samples", type=click.IntRange(TRIED), default=10_000)
def main(
    case: Case,
    samples: int,
    rounds: int,
    folder: Path | None,
    out: Path,
) -> None:
    """Measure `texturedmnist export`; write OUT.json and OUT.md."""
    with work_folder(folder) as work:
        settings = {"sources": str(case), "samples": f"{samples:,}"}
        settings |= {"rounds": str(rounds), **describe_machine(work)}
        report = Report("Exporting, 224 px", settings)
        bench = Bench(case, work, samples, {})
        measure_levels(bench, report)
        measure_speed(bench, rounds, report)
        measure_memory(bench, report)
    write_report(report, out)


if __name__ == "__main__":
    main()
