"""ISIC 2017 (skin lesions) from its official tree."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reff_bench.data.errors import DataError
from reff_bench.data.files import (
    file_split,
    identity_of,
    list_files,
    pick_files,
    read_lines,
)
from reff_bench.data.pixels import FilePixels
from reff_bench.data.split import Data
from reff_bench.grid import Cell

FOLDER = "isic2017"
PARTS: Mapping[str, str] = {
    "train": "ISIC-2017_Training",
    "val": "ISIC-2017_Validation",
    "test": "ISIC-2017_Test_v2",
}
DISEASES = ("melanoma", "seborrheic_keratosis")
CLASS_NAMES: Mapping[str, tuple[str, ...]] = {
    "three_classes": (*DISEASES, "nevus"),
    "melanoma": ("other", "melanoma"),
    "seborrheic_keratosis": ("other", "seborrheic_keratosis"),
}
HEADER = ["image_id", *DISEASES]
REMEDY = (
    "say where the official ISIC 2017 files are (data.root, or --data-root DIR with "
    f"DIR/{FOLDER} in it): folders such as {PARTS['train']}_Data, files such as "
    f"{PARTS['train']}_Part3_GroundTruth.csv"
)
Diagnoses = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Part:
    """One split: its files and diagnoses in the order of the CSV."""

    images: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    diagnoses: Diagnoses


def open_isic2017(
    cell: Cell, data_root: Path, cache_dir: Path, device: torch.device
) -> Data:
    """Open ISIC 2017: three classes, or one of its two official binary tasks.

    The groups are the classes. Test images need no mask.

    Raises:
        DataError: the tree isn't there, is incomplete or contradicts itself.
    """
    root = find_root(cell, data_root)
    task = cell.task or "three_classes"
    parts = {split: _read_part(root, split) for split in PARTS}
    splits = {
        split: file_split(
            FilePixels(part.images, part.masks, (255,), cell.image_size),
            _labels(part.diagnoses, task),
            cache_dir,
            device,
        )
        for split, part in parts.items()
    }
    names = CLASS_NAMES[task]
    return Data(names, names, splits, identity_of(cell, data_root), cell.image_size)


def find_root(cell: Cell, data_root: Path) -> Path:
    """Return where the official tree should be."""
    return Path(cell.root) if cell.root is not None else data_root / FOLDER


def _read_part(root: Path, split: str) -> _Part:
    part = PARTS[split]
    images = list_files(root / f"{part}_Data", ".jpg", REMEDY)
    diagnoses = _read_diagnoses(root / f"{part}_Part3_GroundTruth.csv")
    place = root / f"{part}_Part1_GroundTruth"
    if split == "train" or place.is_dir():
        found = list_files(place, "_segmentation.png", REMEDY)
    else:
        found = {}
    if split == "train":
        pick_files(found, diagnoses, "mask", place)
    return _Part(
        pick_files(images, diagnoses, "image", root / f"{part}_Data"),
        tuple(found.get(name.lower()) for name in diagnoses),
        diagnoses,
    )


def _read_diagnoses(path: Path) -> Diagnoses:
    """Return (melanoma, seborrheic keratosis) in {0, 1} by image."""
    header, *rows = (line.split(",") for line in read_lines(path, REMEDY))
    if [name.strip() for name in header] != HEADER:
        raise DataError(
            f"{path} begins with {','.join(header)!r}; an official list of labels has "
            f"the columns {','.join(HEADER)}"
        )
    return {row[0].strip(): _diagnosis(row, path) for row in rows}


def _diagnosis(row: list[str], path: Path) -> tuple[int, int]:
    try:
        melanoma, keratosis = (float(value) for value in row[1:])
    except ValueError:
        melanoma = keratosis = -1.0
    known = {(0.0, 0.0): (0, 0), (1.0, 0.0): (1, 0), (0.0, 1.0): (0, 1)}
    if (melanoma, keratosis) not in known:
        raise DataError(
            f"{path}: the line {','.join(row)!r} is no diagnosis; after the image two "
            "numbers are expected, of which at most one is 1.0 and the others are 0.0"
        )
    return known[melanoma, keratosis]


def _labels(
    diagnoses: Diagnoses, task: str
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    pairs = np.array([*diagnoses.values()], np.int64)
    if task in DISEASES:
        return pairs[:, DISEASES.index(task)].copy()
    return np.where(pairs.any(1), pairs.argmax(1), len(DISEASES)).astype(np.int64)
