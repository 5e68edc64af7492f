"""What a `torch.utils.data.DataLoader` with workers makes of each way to store."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import PILToTensor

from benchmarks.case import Case
from benchmarks.options import Bench
from benchmarks.stored import BATCH, has_huggingface, open_huggingface
from texturedmnist import TexturedMNIST

WORKERS = 2
OURS, FLY = "DataLoader, TexturedMNIST", "DataLoader, TexturedMNIST on the fly"
OURS_READ = "DataLoader, TexturedMNIST.read for whole batches"
MEMMAP, FOLDER = "DataLoader, numpy memmap", "DataLoader, ImageFolder"
PARQUET = "DataLoader, Hugging Face Parquet"

Sample = tuple[Tensor, Tensor, int]
_to_tensor = PILToTensor()


class MappedArrays(Dataset[Sample]):
    """Mapped .npy files, as one would write it."""

    def __init__(self, folder: Path) -> None:
        """Open the files."""
        self.images, self.masks = (
            np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in ("images", "masks")
        )
        self.labels = np.load(folder / "labels.npy")

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        """Return image (3, S, S), mask (S, S) and label."""
        image = torch.from_numpy(self.images[index].copy()).permute(2, 0, 1)
        mask = torch.from_numpy(self.masks[index].copy())
        return image, mask, int(self.labels[index])


class PngPairs(Dataset[Sample]):
    """ImageFolder's PNGs, with a second one for the mask."""

    def __init__(self, folder: Path) -> None:
        """List the files, in the order of their numbers."""
        self.images = ImageFolder(folder / "png", transform=_to_tensor)
        self.images.samples.sort(key=lambda sample: Path(sample[0]).stem)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """Return image (3, S, S), mask (S, S) and label."""
        image, label = self.images[index]
        path = self.images.samples[index][0].replace("/png/", "/png-masks/")
        with Image.open(path) as mask:
            return image, _to_tensor(mask)[0], label


class WholeBatches(Dataset[Sample]):
    """`TexturedMNIST.read` for whole batches, past PIL and past the collation."""

    def __init__(self, dataset: TexturedMNIST) -> None:
        """Keep the dataset."""
        self.dataset = dataset

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return images (n, 3, S, S), masks (n, S, S) and labels (n,)."""
        image, mask, label = map(torch.from_numpy, self.dataset.read(indices))
        return [image.permute(0, 3, 1, 2), mask, label]


def parquet_rows(rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Turn rows of Hugging Face's dataset into tensors."""
    return {
        "image": [_to_tensor(image) for image in rows["image"]],
        "mask": [_to_tensor(mask)[0] for mask in rows["mask"]],
        "label": rows["label"],
    }


def open_datasets(case: Case, folder: Path, samples: int) -> dict[str, Any]:
    """Return each way as its user would hand it to a DataLoader."""
    ours = TexturedMNIST(
        folder / "plain", target_types=["mask", "label"], transform=_to_tensor
    )
    found: dict[str, Any] = {
        OURS: ours,
        OURS_READ: WholeBatches(TexturedMNIST(folder / "plain")),
        MEMMAP: MappedArrays(folder),
        FLY: case.on_the_fly(samples, transform=_to_tensor),
        FOLDER: PngPairs(folder),
    }
    if has_huggingface():
        found[PARQUET] = open_huggingface(folder).with_transform(parquet_rows)
    return found


def as_it_is(batch: list[Any]) -> list[Any]:
    """Leave a batch that is one already."""
    return batch


def measure_loaders(bench: Bench, samples: int) -> None:
    """Time a shuffled epoch of every loader; its workers are there already."""
    order = np.random.default_rng(1).permutation(samples).tolist()
    loaders: dict[str, DataLoader[Any]] = {
        name: DataLoader(
            dataset,
            batch_size=BATCH,
            sampler=order,
            num_workers=WORKERS,
            persistent_workers=True,
            collate_fn=as_it_is if name == OURS_READ else None,
        )
        for name, dataset in open_datasets(bench.case, bench.folder, samples).items()
    }
    check_loaders(loaders)
    epochs = {name: partial(read_epoch, one) for name, one in loaders.items()}
    bench.time_works(epochs, cores=WORKERS, clock=time.perf_counter)
    for name in [name for name in epochs if name != OURS]:
        bench.compare(name, OURS)
    bench.note(
        f"DataLoader: batches of {BATCH} of (image, mask, label) as tensors, {WORKERS} "
        "workers that are started before, an epoch of all samples, by the wall's clock."
    )


def read_epoch(loader: DataLoader[Any]) -> int:
    """Take one pass; return its samples."""
    return sum(len(unpack(batch)[2]) for batch in loader)


def check_loaders(loaders: Mapping[str, DataLoader[Any]]) -> None:
    """Take an epoch of each, which warms up, and compare the sums of every batch.

    Raises:
        ClickException: one gives other samples.
    """
    sums: dict[str, list[list[int]]] = {}
    for name, loader in loaders.items():
        sums[name] = [summarize(*unpack(batch)) for batch in loader]
        if sums[name] != sums[OURS]:
            raise click.ClickException(f"{name} doesn't give the same samples")


def summarize(image: Tensor, mask: Tensor, label: Tensor) -> list[int]:
    """Return sums that tell batches apart: of pixels inside and outside the masks."""
    mask = mask > 0
    inside = int((image * mask[:, None]).sum())
    return [inside, int(image.sum()), int(mask.sum()), *label.tolist()]


def unpack(batch: Any) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
    """Return images, masks and labels, however a way packs them."""
    if isinstance(batch, dict):
        return batch["image"], batch["mask"], batch["label"]
    image, *rest = batch
    mask, label = rest if len(rest) == 2 else rest[0]
    return image, mask, label
