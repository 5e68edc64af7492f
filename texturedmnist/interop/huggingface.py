"""A split as a Hugging Face `datasets.Dataset`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from texturedmnist.dataset import TexturedMNIST
from texturedmnist.dataset.samples import absolute
from texturedmnist.interop.errors import missing_package
from texturedmnist.interop.export.base import describe_features, encode
from texturedmnist.manifest import read_manifest

try:
    import datasets
    from datasets import Dataset
except ImportError as error:
    raise missing_package("datasets", error) from None

SPLIT_NAMES = {"val": "validation"}  # ours -> theirs, where they differ
BATCH = 64  # samples read at once


def huggingface_dataset(
    root: str | Path,
    split: str = "train",
    *,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
) -> Dataset:
    """Turn a split of a finished folder into a Hugging Face dataset.

    Images and masks are kept as PNG, lossless, in an Arrow file of the `datasets`
    cache, which is found again as long as the folder holds the same data.

    Args:
        root: the folder.
        split: `train`, `val` (or `validation`), `test`, or `val_shifted` where it was
            stored.
        cache_dir: where the Arrow file is kept; the package's own place if None.
        num_proc: processes that encode.

    Returns:
        Columns `image` (RGB), `mask` (one bit a pixel, True where the digit is),
        `label`, `background_texture`, `digit_texture` (class labels),
        `background_aligned`, `digit_aligned` (bool) and `index`.

    Raises:
        DatasetError: the folder isn't a finished dataset, or has no such split.
        ValueError: an unknown split.
    """
    ours = {theirs: name for name, theirs in SPLIT_NAMES.items()}.get(split, split)
    folder = absolute(root).resolve()
    dataset, manifest = TexturedMNIST(folder, ours), read_manifest(folder)
    return Dataset.from_generator(
        _rows,
        features=datasets.Features.from_dict(describe_features(manifest)),
        cache_dir=None if cache_dir is None else str(absolute(cache_dir)),
        gen_kwargs={
            "folder": str(folder),
            "split": ours,
            "starts": [*range(0, len(dataset), BATCH)],
            # The cache is found by these arguments: other data, another cache.
            "identity": manifest.identity,
        },
        num_proc=num_proc,
        split=datasets.NamedSplit(SPLIT_NAMES.get(ours, ours)),
    )


def _rows(
    folder: str, split: str, starts: list[int], identity: str
) -> Iterator[dict[str, Any]]:
    """Yield the rows of some batches; `identity` only tells caches apart."""
    dataset = TexturedMNIST(folder, split)
    for start in starts:
        places = np.arange(start, min(start + BATCH, len(dataset)))
        images, masks, _ = dataset.read(places)
        columns = {name: dataset.columns[name][places] for name in dataset.columns}
        for k, (image, mask) in enumerate(zip(images, masks, strict=True)):
            row = {name: column[k].item() for name, column in columns.items()}
            row["background_aligned"] = bool(row["background_aligned"])
            row["digit_aligned"] = bool(row["digit_aligned"])
            pixels = {"image": encode(image), "mask": encode(mask)}
            yield {
                **{name: {"bytes": png, "path": None} for name, png in pixels.items()},
                **row,
            }
