"""How many images a cell's data hold, without opening them: `count_images`."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reff_bench.catalog import find_dataset
from reff_bench.grid import Cell, GridError
from reff_bench.identity import DataError, read_tree

TRAIN_SHARE = 0.9  # of `trainval`
DIGITS = 10


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
    """Return the sizes of a cell's data: of its files if they are there, else official.

    Raises:
        GridError: the files can't be read, and there are no official numbers.
    """
    spec = find_dataset(cell.dataset)
    if spec.rendered:
        train, val, test = (size or 0 for size in (cell.train, cell.val, cell.test))
        return Sizes(train, val, val if cell.root is None else 0, test, DIGITS)
    if cell.root is None and spec.sizes is not None:
        train, val, test = spec.sizes
        masked = spec.coding == "trimap"  # ISIC's test images have no masks
        return Sizes(train, val, 0, test, spec.tasks[str(cell.task)], masked)
    return _count_tree(cell)


@lru_cache
def _count_tree(cell: Cell) -> Sizes:
    try:
        tree = read_tree(cell.dataset, Path(str(cell.root)))
    except DataError as error:
        raise GridError(str(error)) from None
    counts = {name: len(part.images) for name, part in tree.parts.items()}
    if "trainval" in counts:
        both = counts["trainval"]
        counts["train"] = round(TRAIN_SHARE * both)
        counts["val"] = both - counts["train"]
    classes = tree.classes[cell.task or next(iter(tree.classes))]
    masked = any(tree.parts["test"].masks)
    train, val, test = (counts[name] for name in ("train", "val", "test"))
    return Sizes(train, val, 0, test, len(classes), masked)


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
