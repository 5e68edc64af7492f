"""The official tree of ISIC 2017 (skin lesions): `read_isic2017`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from reff_bench.identity.tree import (
    DataError,
    Tree,
    TreePart,
    check_once,
    identify,
    list_files,
    pick_files,
    read_lines,
)
from texturedmnist.common.text import shown

FOLDER = "isic2017"
PARTS: Mapping[str, str] = {
    "train": "ISIC-2017_Training",
    "val": "ISIC-2017_Validation",
    "test": "ISIC-2017_Test_v2",
}
DISEASES = ("melanoma", "seborrheic_keratosis")
CLASSES: Mapping[str, tuple[str, ...]] = {
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
# (melanoma, seborrheic keratosis) as in the list -> the same in {0, 1}
DIAGNOSES = {(0.0, 0.0): (0, 0), (1.0, 0.0): (1, 0), (0.0, 1.0): (0, 1)}

Row: TypeAlias = tuple[int, str, tuple[int, int]]  # line from 1, image, diagnosis


def read_isic2017(root: Path) -> Tree:
    """Read the three official lists and find their files; test images need no mask.

    Raises:
        DataError: the tree isn't there, is incomplete or contradicts itself.
    """
    lists = {split: root / f"{PARTS[split]}_Part3_GroundTruth.csv" for split in PARTS}
    rows = {split: _read_list(path) for split, path in lists.items()}
    check_once(
        (name, lists[split], line) for split in PARTS for line, name, _ in rows[split]
    )
    parts = {split: _find_files(root, split, rows[split]) for split in PARTS}
    identity = identify("isic2017", root, [*lists.values()], parts.values())
    return Tree(CLASSES, parts, identity)


def _read_list(path: Path) -> list[Row]:
    (_, header), *lines = read_lines(path, REMEDY)
    if [name.strip() for name in header.split(",")] != HEADER:
        raise DataError(
            f"{path} begins with {shown(header)}; an official list of labels has "
            f"the columns {','.join(HEADER)}"
        )
    if not lines:
        raise DataError(f"{path} has a header and no image; {REMEDY}")
    return [_read_row(path, *line) for line in lines]


def _read_row(path: Path, number: int, line: str) -> Row:
    name, *values = line.split(",")
    try:
        melanoma, keratosis = (float(value) for value in values)
        return number, name.strip(), DIAGNOSES[melanoma, keratosis]
    except (ValueError, KeyError):
        raise DataError(
            f"{path}, line {number}: {shown(line)} is no diagnosis; after the image "
            "two numbers are expected, of which at most one is 1.0 and the others are "
            "0.0"
        ) from None


def _find_files(root: Path, split: str, rows: Iterable[Row]) -> TreePart:
    images = list_files(root / f"{PARTS[split]}_Data", ".jpg", REMEDY)
    place = root / f"{PARTS[split]}_Part1_GroundTruth"
    masks: dict[str, Path] = {}
    if split == "train" or place.is_dir():
        masks = list_files(place, "_segmentation.png", REMEDY)
    names = [name for _, name, _ in rows]
    if split == "train":
        pick_files(masks, names, "mask", place)
    return TreePart(
        pick_files(images, names, "image", root / f"{PARTS[split]}_Data"),
        tuple(masks.get(name.lower()) for name in names),
        _labels([diagnosis for _, _, diagnosis in rows]),
    )


def _labels(diagnoses: Iterable[tuple[int, int]]) -> dict[str, tuple[int, ...]]:
    """Return the labels of each task: of three classes the last is nevus."""
    pairs = list(diagnoses)
    return {
        "three_classes": tuple((*pair, 1).index(1) for pair in pairs),
        "melanoma": tuple(melanoma for melanoma, _ in pairs),
        "seborrheic_keratosis": tuple(keratosis for _, keratosis in pairs),
    }
