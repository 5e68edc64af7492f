"""Speed of rendering on a device, beside numpy's and the bound of its memory.

python -m benchmarks.render --data-root ../shared/data --device cuda
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core

import time
from collections.abc import Callable
from contextlib import nullcontext

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.case import IMAGE_SIZE
from benchmarks.common import one_core
from benchmarks.options import COUNT, Bench, benchmark
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


def measure(bench: Bench, dataset: TexturedMNIST, batch: int) -> None:
    """Time the three in turns, on the same batches, after a check of their bytes."""
    started = time.perf_counter()
    samples = dataset.on_device(bench.device)
    wait(samples.device)
    loading = time.perf_counter() - started
    order = np.random.default_rng(0).permutation(len(dataset))
    batches = np.array_split(order, range(batch, len(order), batch))
    check_bytes(dataset, samples, batches)
    there = [torch.from_numpy(rows).to(bench.device) for rows in batches]
    passes = {
        NUMPY: numpy_pass(dataset, batches),
        TORCH: torch_pass(samples, there),
        COPY: copy_pass(samples.device, batch),
    }
    for warm_up in passes.values():
        warm_up()
    bench.report.notes += notes(samples, len(dataset), loading)
    bench.time_works(passes)
    bench.compare(COPY, TORCH, ASKED)
    bench.compare(NUMPY, TORCH)


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


@benchmark(
    "render",
    "Rendering at 224 px on a device",
    case=True,
    backgrounds=True,
    device="cpu",
    rounds=7,
    seconds=1.0,
)
@click.option("--samples", type=COUNT, default=4_096, help="A pass's.")
@click.option("--batch-size", type=COUNT, default=256)
def main(bench: Bench, samples: int, batch_size: int) -> None:
    """Measure rendering at 224 px on a device; write OUT.json and OUT.md."""
    torch.set_num_threads(1)
    cuda = torch.device(bench.device).type == "cuda"
    name = torch.cuda.get_device_name(bench.device) if cuda else bench.device
    bench.report.settings |= {
        "samples of a pass": f"{samples:,}, batches of {batch_size}",
        "device": name if cuda else f"{name}, one thread",
    }
    with nullcontext() if cuda else one_core():
        measure(bench, bench.case.on_the_fly(samples), batch_size)


if __name__ == "__main__":
    main()
