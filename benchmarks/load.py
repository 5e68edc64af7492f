"""Speed of random reads of a stored data set, beside other ways to store it."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: figures are of one core

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import ImageFolder

from benchmarks.case import Case, make_case, run
from benchmarks.common import (
    Lap,
    Report,
    compare,
    describe_machine,
    one_core,
    run_rounds,
    stopwatch,
    work_folder,
    write_report,
)
from texturedmnist import TexturedMNIST

OURS, OURS_ONE = "TexturedMNIST.read, batches of 64", "TexturedMNIST[i]"
OURS_ITEMS = "TexturedMNIST.__getitems__, batches of 64"
GZIP, FLY = "TexturedMNIST.read, gzip", "TexturedMNIST.read, on the fly"
MEMMAP, MEMMAP_ONE = "numpy memmap, batches of 64", "numpy memmap, one by one"
FOLDER, FOLDER_IMAGE = "ImageFolder, image and mask", "ImageFolder, image alone"
HDF5 = "h5py, one by one"
BATCH = 64
LEAST_SECONDS = 0.5

Indices = NDArray[np.int64]
Read = Callable[[Any], Any]


def store(case: Case, folder: Path, samples: int) -> None:
    """Store the same samples in every way."""
    run(case.command(folder / "plain", samples))
    run(case.command(folder / "gzip", samples, "--compression", "gzip"))
    dataset = TexturedMNIST(folder / "plain")
    arrays = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
        for name, shape in (
            ("images", (samples, 224, 224, 3)),
            ("masks", (samples, 224, 224)),
        )
    ]
    for start in range(0, samples, BATCH):
        part = range(start, min(start + BATCH, samples))
        images, masks, labels = dataset.read(part)
        for array, values in zip(arrays, (images, masks), strict=True):
            array[part.start : part.stop] = values
        for k, index in enumerate(part):
            write_png(folder / "png", index, int(labels[k]), images[k])
            write_png(folder / "png-masks", index, int(labels[k]), masks[k] * 255)
    np.save(folder / "labels.npy", dataset.targets.numpy())


def write_png(folder: Path, index: int, label: int, pixels: NDArray[np.uint8]) -> None:
    """Write folder/LABEL/INDEX.png."""
    path = folder / str(label) / f"{index:06d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def memmap_readers(folder: Path) -> tuple[Read, Read]:
    """Read mapped .npy files: a batch into new arrays, or sample by sample."""
    # A plain array over the mapping is sliced faster than numpy's subclass.
    images, masks = (
        np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))
        for name in ("images", "masks")
    )
    labels = np.load(folder / "labels.npy")

    def read_batch(indices: Indices) -> Any:  # noqa: ANN401
        image = np.empty((len(indices), *images.shape[1:]), np.uint8)
        mask = np.empty((len(indices), *masks.shape[1:]), np.uint8)
        for k, index in enumerate(indices):
            image[k], mask[k] = images[index], masks[index]
        return image, mask, labels[indices]

    def read_singly(indices: Indices) -> Any:  # noqa: ANN401
        for i in indices:
            sample = images[i].copy(), masks[i].copy(), int(labels[i])
        return sample

    return read_batch, read_singly


def image_folder_readers(folder: Path) -> tuple[Read, Read]:
    """Read PNGs through ImageFolder: image and mask, or the image alone."""
    dataset = ImageFolder(folder / "png")
    stems = [int(Path(path).stem) for path, _ in dataset.samples]
    place = np.argsort(stems)

    def read_images(indices: Indices) -> Any:  # noqa: ANN401
        for k in place[indices]:
            sample = dataset[k]
        return sample

    def read_both(indices: Indices) -> Any:  # noqa: ANN401
        for k in place[indices]:
            image, label = dataset[k]
            path = dataset.samples[k][0].replace("/png/", "/png-masks/")
            with Image.open(path) as mask:
                mask.load()
        return image, mask, label

    return read_both, read_images


def hdf5_reader(folder: Path) -> Read:
    """Read our uncompressed shards through h5py, sample by sample."""
    # HDF5 refuses a file that this process already opened with another lock setting.
    paths = sorted(folder.glob("train-*.h5"))
    files = [h5py.File(path, "r", locking=False) for path in paths]
    images, masks = ([file[name] for file in files] for name in ("image", "mask"))
    labels = np.concatenate([file["label"][()] for file in files])
    starts = np.cumsum([0, *(len(part) for part in images)])

    def read(indices: Indices) -> Any:  # noqa: ANN401
        for i in indices:
            shard = int(np.searchsorted(starts, i, side="right")) - 1
            row = i - starts[shard]
            sample = images[shard][row], masks[shard][row], int(labels[i])
        return sample

    return read


def our_reader(dataset: TexturedMNIST) -> Read:
    """Read through dataset[i]: a PIL image, its label and its mask."""

    def read(indices: Indices) -> Any:  # noqa: ANN401
        for i in indices:
            sample = dataset[i]
        return sample

    return read


def make_readers(case: Case, folder: Path, samples: int) -> dict[str, Read]:
    """Return every way to read; each gets a batch of indices."""
    targets = ["label", "mask"]
    ours = TexturedMNIST(folder / "plain", target_types=targets)
    memmap, memmap_one = memmap_readers(folder)
    folder_both, folder_image = image_folder_readers(folder)
    return {
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


def check_readers(folder: Path, samples: int) -> None:
    """Refuse to compare ways that don't give the same pixels."""
    last = np.array([samples - 1])
    image, mask, _ = TexturedMNIST(folder / "plain").read(last)
    memmap_image, memmap_mask, _ = memmap_readers(folder)[0](last)
    png, png_mask, _ = image_folder_readers(folder)[0](last)
    same = (
        np.array_equal(image, memmap_image)
        and np.array_equal(mask, memmap_mask)
        and np.array_equal(image[0], np.asarray(png))
        and np.array_equal(mask[0] * 255, np.asarray(png_mask))
    )
    if not same:
        raise click.ClickException("the ways to read don't give the same pixels")


def contender(read: Read, indices: Indices) -> Callable[[], Lap]:
    """Return what times a pass over the indices in batches of 64."""
    batches = np.split(indices, range(BATCH, len(indices), BATCH))

    def work() -> int:
        for batch in batches:
            read(batch)
        return len(indices)

    return lambda: stopwatch(work, least=LEAST_SECONDS)


@click.command(context_settings={"show_default": True})
@click.option("--data-root", type=click.Path(path_type=Path), help="MNIST and DTD.")
@click.option("--embedded", is_flag=True, help="Embedded sources instead.")
@click.option(
    "--background-textures",
    "backgrounds",
    type=click.Choice(["embedded", "dtd"]),
    default="embedded",
    help="dtd needs all of its 47 classes.",
)
@click.option("--cache-dir", type=click.Path(path_type=Path), help="[user's cache]")
@click.option("--samples", type=click.IntRange(64), default=4_000, help="Stored.")
@click.option("--reads", type=click.IntRange(1), default=1_000, help="A round's.")
@click.option("--rounds", type=click.IntRange(1), default=7)
@click.option("--folder", type=click.Path(path_type=Path), help="[beside the repo]")
@click.option(
    "--out", type=click.Path(path_type=Path), default="benchmarks/results/load"
)
def main(
    data_root: Path | None,
    embedded: bool,
    backgrounds: str,
    cache_dir: Path | None,
    samples: int,
    reads: int,
    rounds: int,
    folder: Path | None,
    out: Path,
) -> None:
    """Measure random reads of (image, mask, label); write OUT.json and OUT.md."""
    torch.set_num_threads(1)
    case = make_case(data_root, embedded, backgrounds, cache_dir)
    with work_folder(folder) as work:
        settings = {"sources": str(case), "samples": f"{samples:,}"}
        settings |= {"rounds": str(rounds), **describe_machine(work)}
        report = Report(
            "Random reads at 224 px, one process, warm page cache", settings
        )
        click.echo(f"storing {samples:,} samples in every way")
        store(case, work, samples)
        check_readers(work, samples)
        indices = np.random.default_rng(0).permutation(samples)[:reads]
        measure(make_readers(case, work, samples), indices, rounds, report)
    write_report(report, out)


def measure(
    readers: dict[str, Read], indices: Indices, rounds: int, report: Report
) -> None:
    """Time all readers on one core, after a pass that warms the page cache."""
    contenders = {name: contender(read, indices) for name, read in readers.items()}
    with one_core():
        for warm_up in contenders.values():
            warm_up()
        laps = run_rounds(contenders, rounds)
    report.laps.update(laps)
    report.ratios += [
        compare(laps, FOLDER, OURS, "at least 10"),
        compare(laps, FOLDER_IMAGE, OURS),
        compare(laps, FOLDER, OURS_ONE),
        compare(laps, FOLDER_IMAGE, OURS_ONE),
        compare(laps, MEMMAP, OURS, "at least 0.7"),
        compare(laps, MEMMAP_ONE, OURS_ONE),
        compare(laps, GZIP, OURS),
        compare(laps, HDF5, OURS_ONE),
        compare(laps, FLY, OURS),
    ]


if __name__ == "__main__":
    main()
