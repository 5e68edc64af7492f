"""ISIC 2017 (skin lesions) from its official tree."""

from pathlib import Path

import numpy as np
import torch

from reff_bench.data.files import file_split
from reff_bench.data.pixels import FilePixels
from reff_bench.data.split import Data
from reff_bench.grid import Cell
from reff_bench.identity import read_isic2017
from reff_bench.identity.isic2017 import FOLDER


def open_isic2017(
    cell: Cell, data_root: Path, cache_dir: Path, device: torch.device
) -> Data:
    """Open ISIC 2017: three classes, or one of its two official binary tasks.

    The groups are the classes. Test images need no mask.

    Raises:
        DataError: the tree isn't there, is incomplete or contradicts itself.
    """
    root = Path(cell.root) if cell.root is not None else data_root / FOLDER
    task = cell.task or "three_classes"
    tree = read_isic2017(root)
    splits = {
        split: file_split(
            FilePixels(part.images, part.masks, "two_values", cell.image_size),
            np.array(part.labels[task], np.int64),
            cache_dir,
            device,
        )
        for split, part in tree.parts.items()
    }
    names = tree.classes[task]
    return Data(names, names, splits, tree.identity, cell.image_size)
