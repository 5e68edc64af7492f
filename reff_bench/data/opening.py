"""Opening the data of a run, whatever the dataset: `open_data`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reff_bench.catalog.datasets import DatasetSpec, find_dataset
from reff_bench.data.files import file_split
from reff_bench.data.on_device import resolve_device
from reff_bench.data.pixels import FilePixels
from reff_bench.data.split import Data, Split
from reff_bench.data.subset import random_split
from reff_bench.data.textured_mnist import open_textured_mnist
from reff_bench.grid.config import GridError, RunConfig, derive_seed
from reff_bench.identity.configs import read_tree, tree_root
from reff_bench.identity.tree import DataError, TreePart
from texturedmnist.common.cache import Cache
from texturedmnist.common.text import shown_text
from texturedmnist.manifest import DatasetError
from texturedmnist.sources import SourceError, default_cache_dir, default_data_root

TRAIN_SHARE = 0.9  # [paper] of trainval


def open_data(
    config: RunConfig,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    device: torch.device | str = "cpu",
    cache: Cache | None = None,
) -> Data:
    """Open the data of a run.

    On a GPU pixels live there, or are rendered there, as long as half of its memory
    stays free; else they are read on the CPU and sent ahead of their use. The batches
    are the same.

    Args:
        config: what it needs.
        data_root: where the data are; $TEXTUREDMNIST_DATA or `data` by default.
        cache_dir: where decoded textures are kept; the user's cache by default.
        device: where batches will be used.
        cache: of the worker: what was opened stays there for its next run, and is
            taken from there; by default nothing stays.

    Raises:
        DataError: they aren't there, are damaged, or others than the run was planned
            with.
    """
    data_root = default_data_root() if data_root is None else data_root
    cache_dir = default_cache_dir() if cache_dir is None else cache_dir
    open_kind = (
        open_textured_mnist if find_dataset(config.dataset).rendered else open_tree
    )
    try:
        data = open_kind(
            cache or Cache(), config, data_root, cache_dir, resolve_device(device)
        )
    except (GridError, SourceError, DatasetError) as error:
        raise DataError(str(error)) from None
    if config.data_identity not in (None, data.identity):
        planned = shown_text(str(config.data_identity)[:12])
        raise DataError(
            f"the data of this run have changed since it was planned (identity "
            f"{planned}, now {data.identity[:12]}); run the grid "
            "again to plan it with these"
        )
    return data


def open_tree(
    cache: Cache,
    config: RunConfig,
    data_root: Path,
    cache_dir: Path,
    device: torch.device,
) -> Data:
    """Open image files; `trainval` is split 90/10 at random, by the run's seed.

    The groups are the classes unless the tree has its own.

    Raises:
        DataError: the tree isn't there, is incomplete or contradicts itself.
    """
    spec = find_dataset(config.dataset)
    tree = read_tree(config.dataset, tree_root(config, data_root))
    task = config.task or next(iter(tree.classes))
    make = partial(file_split, cache, cache_dir=cache_dir, device=device)
    split = partial(_split, make, spec, task, config.image_size)
    parts = dict(tree.parts)
    splits = {}
    if "trainval" in parts:
        both = parts.pop("trainval")
        seed = derive_seed(config.seed, "data")
        train, val = random_split(len(both.images), TRAIN_SHARE, seed)
        splits = {"train": split(both, train), "val": split(both, val)}
    splits |= {name: split(part, None) for name, part in parts.items()}
    names = tree.classes[task]
    return Data(names, tree.groups or names, splits, tree.identity, config.image_size)


def _split(
    make: Callable[..., Split],
    spec: DatasetSpec,
    task: str,
    size: int,
    part: TreePart,
    rows: NDArray[np.int64] | None,
) -> Split:
    source = FilePixels(part.images, part.masks, spec.coding, size)
    groups = None if part.groups is None else np.array(part.groups, np.int64)
    labels = np.array(part.labels[task], np.int64)
    return make(source, labels, rows=rows, groups=groups)
