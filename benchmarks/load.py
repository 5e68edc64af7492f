"""Speed of random reads of a stored dataset, beside other ways to store it."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core
os.environ["HF_HUB_OFFLINE"] = "1"  # the files lie here: nothing is asked of a server

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.case import Case
from benchmarks.common import one_core
from benchmarks.loaders import measure_loaders
from benchmarks.options import COUNT, Bench, benchmark
from benchmarks.stored import (
    BATCH,
    Indices,
    Read,
    has_huggingface,
    hdf5_reader,
    huggingface_readers,
    image_folder_readers,
    memmap_readers,
    our_reader,
    store,
)
from texturedmnist import TexturedMNIST

OURS, OURS_ONE = "TexturedMNIST.read, batches of 64", "TexturedMNIST[i]"
OURS_ITEMS = "TexturedMNIST.__getitems__, batches of 64"
GZIP, FLY = "TexturedMNIST.read, gzip", "TexturedMNIST.read, on the fly"
MEMMAP, MEMMAP_ONE = "numpy memmap, batches of 64", "numpy memmap, one by one"
FOLDER, FOLDER_IMAGE = "ImageFolder, image and mask", "ImageFolder, image alone"
HDF5 = "h5py, one by one"
PARQUET = "Hugging Face Parquet, batches of 64"
PARQUET_ONE = "Hugging Face Parquet, one by one"
LEAST_SECONDS = 0.5


def make_readers(case: Case, folder: Path, samples: int) -> dict[str, Read]:
    """Return every way to read; each gets a batch of indices."""
    targets = ["label", "mask"]
    ours = TexturedMNIST(folder / "plain", target_types=targets)
    memmap, memmap_one = memmap_readers(folder)
    folder_both, folder_image = image_folder_readers(folder)
    readers = {
        OURS: ours.read,
        MEMMAP: memmap,
        OURS_ITEMS: ours.__getitems__,
        OURS_ONE: our_reader(ours),
        MEMMAP_ONE: memmap_one,
        HDF5: hdf5_reader(folder / "plain"),
        FLY: case.on_the_fly(samples).read,
        GZIP: TexturedMNIST(folder / "gzip").read,
        FOLDER: folder_both,
        FOLDER_IMAGE: folder_image,
    }
    if has_huggingface():
        readers[PARQUET], readers[PARQUET_ONE] = huggingface_readers(folder)
    return readers


def check_readers(folder: Path, samples: int) -> None:
    """Refuse to compare ways that don't give the same pixels."""
    last = np.array([samples - 1])
    image, mask, _ = TexturedMNIST(folder / "plain").read(last)
    memmap_image, memmap_mask, _ = memmap_readers(folder)[0](last)
    others = [(memmap_image[0], memmap_mask[0])]
    others.append(image_folder_readers(folder)[0](last)[:2])
    if has_huggingface():
        others.append(huggingface_readers(folder)[1](last)[:2])
    for other_image, other_mask in others:
        same = np.array_equal(image[0], np.asarray(other_image))
        if not (same and np.array_equal(mask[0] > 0, np.asarray(other_mask) > 0)):
            raise click.ClickException("the ways to read don't give the same pixels")


def make_pass(read: Read, indices: Indices) -> Callable[[], int]:
    """Return what reads the indices in batches of 64."""
    batches = np.split(indices, range(BATCH, len(indices), BATCH))

    def work() -> int:
        for batch in batches:
            read(batch)
        return len(indices)

    return work


@benchmark(
    "load",
    "Random reads at 224 px, warm page cache",
    case=True,
    backgrounds=True,
    rounds=7,
    clock=True,
    folder=True,
)
@click.option("--samples", type=click.IntRange(64), default=4_000, help="Stored.")
@click.option("--reads", type=COUNT, default=1_000, help="A round's.")
def main(bench: Bench, samples: int, reads: int) -> None:
    """Measure random reads of (image, mask, label); write OUT.json and OUT.md."""
    torch.set_num_threads(1)
    bench.report.settings["samples"] = f"{samples:,}"
    note_huggingface(bench)
    click.echo(f"storing {samples:,} samples in every way")
    store(bench.case, bench.folder, samples)
    check_readers(bench.folder, samples)
    indices = np.random.default_rng(0).permutation(samples)[:reads]
    measure(bench, make_readers(bench.case, bench.folder, samples), indices)
    measure_loaders(bench, samples)


def measure(bench: Bench, readers: dict[str, Read], indices: Indices) -> None:
    """Time all readers on one core, after a pass that warms the page cache."""
    passes = {name: make_pass(read, indices) for name, read in readers.items()}
    with one_core():
        for warm_up in passes.values():
            warm_up()
        bench.time_works(passes, least=LEAST_SECONDS)
    bench.compare(FOLDER, OURS, "at least 10")
    bench.compare(FOLDER_IMAGE, OURS)
    bench.compare(FOLDER, OURS_ONE)
    bench.compare(FOLDER_IMAGE, OURS_ONE)
    bench.compare(MEMMAP, OURS, "at least 0.7")
    bench.compare(MEMMAP_ONE, OURS_ONE)
    bench.compare(GZIP, OURS)
    bench.compare(HDF5, OURS_ONE)
    bench.compare(FLY, OURS)
    bench.compare(PARQUET, OURS)
    bench.compare(PARQUET, FLY)
    bench.compare(PARQUET_ONE, OURS_ONE)


def note_huggingface(bench: Bench) -> None:
    """Name the versions of what reads Parquet, or say that it was left out."""
    if has_huggingface():
        names = ("datasets", "pyarrow")
        bench.report.settings |= {name: version(name) for name in names}
        return
    bench.note(
        "Hugging Face Parquet is left out: `datasets` isn't installed (pip install "
        "'texturedmnist[interop]')."
    )


if __name__ == "__main__":
    main()
