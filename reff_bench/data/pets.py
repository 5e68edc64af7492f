"""Oxford-IIIT Pet from its official tree."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reff_bench.data.files import file_split
from reff_bench.data.pixels import FilePixels
from reff_bench.data.split import Data, Split
from reff_bench.data.subset import random_split
from reff_bench.grid import Cell, derive_seed
from reff_bench.identity import Part, read_pets
from reff_bench.identity.pets import FOLDER

TRAIN_SHARE = 0.9  # [paper] of trainval


def open_pets(
    cell: Cell, data_root: Path, cache_dir: Path, device: torch.device
) -> Data:
    """Open Oxford-IIIT Pet: breeds, or the two species.

    The official training part is split 90/10 at random, by the cell's seed. The groups
    are the classes.

    Raises:
        DataError: the tree isn't there, is incomplete or contradicts itself.
    """
    root = Path(cell.root) if cell.root is not None else data_root / FOLDER
    task = cell.task or "breed"
    tree = read_pets(root)
    trainval, test = tree.parts["trainval"], tree.parts["test"]
    seed = derive_seed(cell.seed, "data")
    train, val = random_split(len(trainval.images), TRAIN_SHARE, seed)
    split = partial(_split, task, cell.image_size, (cache_dir, device))
    splits = {
        "train": split(trainval, train),
        "val": split(trainval, val),
        "test": split(test, np.arange(len(test.images))),
    }
    names = tree.classes[task]
    return Data(names, names, splits, tree.identity, cell.image_size)


def _split(
    task: str,
    size: int,
    places: tuple[Path, torch.device],
    part: Part,
    rows: NDArray[np.int64],
) -> Split:
    source = FilePixels(part.images, part.masks, "trimap", size)
    return file_split(source, np.array(part.labels[task], np.int64), *places, rows)
