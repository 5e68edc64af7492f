"""A dataset of image files that a `Tree` lists: `open_tree`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reff_bench.catalog.datasets import DatasetSpec, find_dataset
from reff_bench.data.files import file_split
from reff_bench.data.pixels import FilePixels
from reff_bench.data.split import Data, Split
from reff_bench.data.subset import random_split
from reff_bench.grid.config import RunConfig, derive_seed
from reff_bench.identity.configs import read_tree, tree_root
from reff_bench.identity.tree import TreePart
from texturedmnist.common.cache import Cache

TRAIN_SHARE = 0.9  # [paper] of trainval


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
