"""Oxford-IIIT Pet from its official tree."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reff_bench.data.errors import DataError
from reff_bench.data.files import (
    file_split,
    identity_of,
    list_files,
    pick_files,
    read_lines,
)
from reff_bench.data.pixels import FilePixels
from reff_bench.data.split import Data, Split
from reff_bench.data.subset import random_split
from reff_bench.grid import Cell, derive_seed

FOLDER = "oxford-iiit-pet"
LISTS = ("trainval", "test")
RELEVANT = (1,)  # [paper] of a trimap: not 2 (background), not 3 (indeterminate)
TRAIN_SHARE = 0.9  # [paper] of trainval
SPECIES = ("cat", "dog")
REMEDY = (
    "say where the official Oxford-IIIT Pet files are (data.root, or --data-root DIR "
    f"with DIR/{FOLDER} in it): images/*.jpg, annotations/trimaps/*.png, "
    "annotations/trainval.txt, annotations/test.txt"
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of an official list."""

    name: str
    breed: int
    species: int


@dataclass(frozen=True, slots=True)
class _Tree:
    """The official tree: entries and files of both lists."""

    root: Path
    entries: dict[str, list[_Entry]]
    images: dict[str, tuple[Path, ...]]
    trimaps: dict[str, tuple[Path | None, ...]]


def open_pets(
    cell: Cell, data_root: Path, cache_dir: Path, device: torch.device
) -> Data:
    """Open Oxford-IIIT Pet: breeds, or the two species.

    The official training part is split 90/10 at random, by the cell's seed. The groups
    are the classes.

    Raises:
        DataError: the tree isn't there, is incomplete or contradicts itself.
    """
    tree = _read_tree(find_root(cell, data_root))
    names, numbers = _classes(tree, cell.task or "breed")
    seed = derive_seed(cell.seed, "data")
    train, val = random_split(len(tree.images["trainval"]), TRAIN_SHARE, seed)
    test = np.arange(len(tree.images["test"]))
    split = partial(_split, tree, numbers, cell.image_size, (cache_dir, device))
    splits = {
        "train": split("trainval", train),
        "val": split("trainval", val),
        "test": split("test", test),
    }
    return Data(names, names, splits, identity_of(cell, data_root), cell.image_size)


def find_root(cell: Cell, data_root: Path) -> Path:
    """Return where the official tree should be."""
    return Path(cell.root) if cell.root is not None else data_root / FOLDER


def _read_tree(root: Path) -> _Tree:
    if not root.is_dir():
        raise DataError(f"no folder {root}; {REMEDY}")
    notes = root / "annotations"
    entries = {part: _read_list(notes / f"{part}.txt") for part in LISTS}
    images = list_files(root / "images", ".jpg", REMEDY)
    trimaps = list_files(notes / "trimaps", ".png", REMEDY)
    names = {part: [entry.name for entry in entries[part]] for part in LISTS}
    pick_files(trimaps, names["trainval"], "trimap", notes / "trimaps")
    return _Tree(
        root,
        entries,
        {p: pick_files(images, names[p], "image", root / "images") for p in LISTS},
        {p: tuple(trimaps.get(name.lower()) for name in names[p]) for p in LISTS},
    )


def _read_list(path: Path) -> list[_Entry]:
    entries = []
    for line in read_lines(path, REMEDY):
        words = line.split()
        if len(words) != 4 or not all(word.isdigit() for word in words[1:]):
            raise DataError(
                f"{path}: the line {line!r} is not 'name class species breed' with "
                "three whole numbers, as in the official lists"
            )
        entries.append(_Entry(words[0], int(words[1]), int(words[2])))
    return entries


def _classes(tree: _Tree, task: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the class names, and the label of each image.

    The official class numbers may have gaps: labels are their ranks.
    """
    entries = [entry for part in LISTS for entry in tree.entries[part]]
    if task == "species":
        return SPECIES, {entry.name: entry.species - 1 for entry in entries}
    breeds = {entry.breed: entry.name.rpartition("_")[0] for entry in entries}
    ranks = {breed: rank for rank, breed in enumerate(sorted(breeds))}
    names = tuple(breeds[breed] for breed in sorted(breeds))
    return names, {entry.name: ranks[entry.breed] for entry in entries}


def _split(
    tree: _Tree,
    numbers: dict[str, int],
    size: int,
    places: tuple[Path, torch.device],
    part: str,
    rows: NDArray[np.int64],
) -> Split:
    source = FilePixels(tree.images[part], tree.trimaps[part], RELEVANT, size)
    labels = [numbers[entry.name] for entry in tree.entries[part]]
    return file_split(source, np.array(labels, np.int64), *places, rows)
