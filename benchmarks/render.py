"""Speed of rendering on a device, beside numpy's and the bound of its memory.

python -m benchmarks.render --data-root ../shared/data --device cuda
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core

import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.case import IMAGE_SIZE, Case
from benchmarks.common import (
    ROOT,
    Lap,
    Report,
    compare,
    describe_machine,
    one_core,
    run_rounds,
    stopwatch,
    write_report,
)
from benchmarks.options import COUNT, benchmark
from texturedmnist import TexturedMNIST
from texturedmnist.dataset import DeviceSamples

TORCH, NUMPY, COPY = "render_torch", "numpy, on the fly", "plain copy of as many bytes"
# What no way to render can do without: each pixel of the texture that shows is read (3)
# and written (3), its mask is written (1); the digit's 28 x 28 pixels are read.
BOUND_BYTES = 7 * IMAGE_SIZE**2 + 28**2
ASKED = "on a GPU at least 0.6, or 30,000 images/s"

Indices = NDArray[np.int64]


def check_bytes(
    dataset: TexturedMNIST, samples: DeviceSamples, batches: list[Indices]
) -> None:
    """Refuse to compare renderers that don't give the same bytes."""
    for rows in batches:
        images, masks, labels = samples.read(rows)
        theirs = map(torch.from_numpy, dataset.read(rows))
        ours = images.permute(0, 2, 3, 1), masks, labels
        for one, other in zip(ours, theirs, strict=True):
            if not torch.equal(one.cpu(), other):
                raise click.ClickException("the two don't give the same bytes")


def numpy_pass(dataset: TexturedMNIST, batches: list[Indices]) -> Callable[[], int]:
    """Return what renders all batches by numpy."""

    def work() -> int:
        for rows in batches:
            dataset.read(rows)
        return sum(map(len, batches))

    return work


def torch_pass(samples: DeviceSamples, batches: list[Tensor]) -> Callable[[], int]:
    """Return what renders all batches on the device, and waits at the end."""

    def work() -> int:
        for rows in batches:
            samples.read(rows)
        wait(samples.device)
        return sum(map(len, batches))

    return work


def copy_pass(device: torch.device, batch: int, times: int = 8) -> Callable[[], int]:
    """Return what moves as many bytes as batches must: half read, half written.

    The batches lie in different places, so that no cache holds what is read.
    """
    source = torch.zeros(times, batch * BOUND_BYTES // 2, dtype=torch.uint8)
    source = source.to(device)
    target = torch.empty_like(source)

    def work() -> int:
        for read, written in zip(source, target, strict=True):
            written.copy_(read)
        wait(device)
        return batch * times

    return work


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(
    dataset: TexturedMNIST,
    device: str,
    batch: int,
    rounds: int,
    seconds: float,
    report: Report,
) -> None:
    """Time the three in turns, on the same batches, after a check of their bytes."""
    started = time.perf_counter()
    samples = dataset.on_device(device)
    wait(samples.device)
    loading = time.perf_counter() - started
    order = np.random.default_rng(0).permutation(len(dataset))
    batches = np.array_split(order, range(batch, len(order), batch))
    check_bytes(dataset, samples, batches)
    report.notes += notes(samples, len(dataset), loading)
    there = [torch.from_numpy(rows).to(device) for rows in batches]
    passes = {
        NUMPY: numpy_pass(dataset, batches),
        TORCH: torch_pass(samples, there),
        COPY: copy_pass(samples.device, batch),
    }
    contenders: dict[str, Callable[[], Lap]] = {
        name: partial(stopwatch, work, least=seconds) for name, work in passes.items()
    }
    for warm_up in passes.values():
        warm_up()
    report.laps = run_rounds(contenders, rounds)
    report.ratios = [
        compare(report.laps, COPY, TORCH, ASKED),
        compare(report.laps, NUMPY, TORCH),
    ]


def notes(samples: DeviceSamples, compared: int, loading: float) -> list[str]:
    """Say what was compared, what the bound is, and what the textures take."""
    held = samples.sources.nbytes / 2**20
    found = [
        f"image, mask and label of {compared:,} samples compared: equal bytes",
        f"the bound is {BOUND_BYTES:,} bytes an image: 3 bytes a pixel of texture and "
        "the digit read, 3 of image and 1 of mask written; the plain copy moves as "
        "many, half read and half written, so that its time / render_torch's is the "
        "share of the bound that is reached",
        f"digits and textures of the split take {held:,.0f} MiB on the device, and "
        f"{loading:.1f} s to get there",
    ]
    if samples.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(samples.device) / 2**20
        found.append(f"most memory of torch's tensors while rendering: {peak:,.0f} MiB")
    return found


def describe_device(device: str) -> str:
    """Name the device."""
    if torch.device(device).type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{device}, one thread"


@benchmark("render", case=True, backgrounds=True, device="cpu", rounds=7, seconds=1.0)
@click.option("--samples", type=COUNT, default=4_096, help="A pass's.")
@click.option("--batch-size", type=COUNT, default=256)
def main(
    case: Case,
    device: str,
    samples: int,
    batch_size: int,
    rounds: int,
    seconds: float,
    out: Path,
) -> None:
    """Measure rendering at 224 px on a device; write OUT.json and OUT.md."""
    torch.set_num_threads(1)
    settings = {
        "sources": str(case),
        "samples of a pass": f"{samples:,}, batches of {batch_size}",
        "device": describe_device(device),
    }
    report = Report(
        "Rendering at 224 px on a device", settings | describe_machine(ROOT)
    )
    with nullcontext() if "cuda" in device else one_core():
        measure(case.on_the_fly(samples), device, batch_size, rounds, seconds, report)
    write_report(report, out)


if __name__ == "__main__":
    main()
