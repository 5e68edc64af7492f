"""How many images a cell's data hold, without opening them: `count_images`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reff_bench.grid import Cell

# [other] The official numbers of images and of classes; Pets' 3,680 are split 90/10.
OFFICIAL: Mapping[str, tuple[int, int, int]] = {
    "isic2017": (2000, 150, 600),
    "pets": (3312, 368, 3669),
}
CLASSES: Mapping[str | None, int] = {"three_classes": 3, "breed": 37, None: 10}
ISIC_LISTS = tuple(
    f"ISIC-2017_{part}_Part3_GroundTruth.csv"
    for part in ("Training", "Validation", "Test_v2")
)
PETS_LISTS = ("annotations/trainval.txt", "annotations/test.txt")
PETS_TRAIN_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of images.

    Attributes:
        train: of the training split.
        val: of the validation split.
        val_shifted: of the shifted one, 0 where there is none.
        test: of the test split.
        classes: number of classes.
        masked_test: whether test images have masks.
    """

    train: int
    val: int
    val_shifted: int
    test: int
    classes: int
    masked_test: bool = True


def count_images(cell: Cell) -> Sizes:
    """Return the sizes of a cell's data: of its tree if it is there, else official."""
    classes = CLASSES.get(cell.task, 2)
    if cell.dataset == "textured_mnist":
        train, val, test = (size or 0 for size in (cell.train, cell.val, cell.test))
        return Sizes(train, val, val if cell.root is None else 0, test, classes)
    found = OFFICIAL[cell.dataset] if cell.root is None else _count_tree(cell)
    train, val, test = found
    return Sizes(train, val, 0, test, classes, cell.dataset == "pets")


def count_annotated(cell: Cell, sizes: Sizes) -> int:
    """Return how many training images have a true mask, all classes being large."""
    if cell.annotations == "all":
        return sizes.train
    asked = {
        "per_class": cell.annotations * sizes.classes,
        "total": cell.annotations,
        "percent": -(-cell.annotations * sizes.train // 100),
    }
    return min(sizes.train, asked[cell.annotation_unit])


def _count_tree(cell: Cell) -> tuple[int, int, int]:
    root = Path(str(cell.root))
    if cell.dataset == "isic2017":
        train, val, test = (_lines(root / name) - 1 for name in ISIC_LISTS)
        return train, val, test
    both, test = (_lines(root / name) for name in PETS_LISTS)
    train = round(PETS_TRAIN_SHARE * both)
    return train, both - train, test


def _lines(path: Path) -> int:
    """Return the number of lines that aren't empty or a comment."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return sum(bool(line.strip()) and line.strip()[0] != "#" for line in lines)
