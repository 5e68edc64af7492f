"""The same samples stored in several ways, and what reads them."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import ImageFolder

from benchmarks.case import COMMAND, Case, run
from texturedmnist import TexturedMNIST

BATCH = 64

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
    if has_huggingface():
        places = [str(folder / "plain"), f"--out={folder / 'parquet'}"]
        run([COMMAND, "export", *places, "--layout=parquet"])


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


def has_huggingface() -> bool:
    """Return whether `datasets` is installed (the extra `interop`)."""
    return find_spec("datasets") is not None


def open_huggingface(folder: Path) -> Any:  # noqa: ANN401 (`datasets` is untyped)
    """Open the exported Parquet files as their card says."""
    # Optional, and slow to import.
    import datasets

    datasets.disable_progress_bars()
    found = datasets.load_dataset(
        "parquet",
        data_files=str(folder / "parquet/data/train-*.parquet"),
        split="train",
        cache_dir=str(folder / "huggingface"),
    )
    return found.select_columns(["image", "mask", "label"])


def huggingface_readers(folder: Path) -> tuple[Read, Read]:
    """Read Parquet through Hugging Face: a batch at once, or sample by sample."""
    dataset = open_huggingface(folder)

    def read_batch(indices: Indices) -> Any:  # noqa: ANN401
        rows = dataset[indices.tolist()]
        return rows["image"], rows["mask"], rows["label"]

    def read_singly(indices: Indices) -> Any:  # noqa: ANN401
        for i in indices.tolist():
            sample = dataset[i]
        return sample["image"], sample["mask"], sample["label"]

    return read_batch, read_singly


def our_reader(dataset: TexturedMNIST) -> Read:
    """Read through dataset[i]: a PIL image, its label and its mask."""

    def read(indices: Indices) -> Any:  # noqa: ANN401
        for i in indices:
            sample = dataset[i]
        return sample

    return read
