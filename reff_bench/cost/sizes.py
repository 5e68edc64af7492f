"""How many images a run's data hold, without opening them: `count_images`."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reff_bench.catalog.datasets import find_dataset
from reff_bench.grid.config import RunConfig
from reff_bench.grid.errors import GridError
from reff_bench.identity.configs import read_tree
from reff_bench.identity.tree import DataError

TRAIN_SHARE = 0.9  # of `trainval`
DIGITS = 10


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of images of each split, and of classes; whether test images have masks.

    Without a shifted validation split its number is 0.
    """

    train: int
    val: int
    val_shifted: int
    test: int
    classes: int
    masked_test: bool = True


def count_images(config: RunConfig) -> Sizes:
    """Return the sizes of a run's data: of its files if they are there, else official.

    Raises:
        GridError: the files can't be read, and there are no official numbers.
    """
    spec = find_dataset(config.dataset)
    if spec.rendered:
        train, val, test = (
            size or 0 for size in (config.train, config.val, config.test)
        )
        return Sizes(train, val, val if config.root is None else 0, test, DIGITS)
    if config.root is None and spec.sizes is not None:
        train, val, test = spec.sizes
        masked = spec.coding == "trimap"  # ISIC's test images have no masks
        return Sizes(train, val, 0, test, spec.tasks[str(config.task)], masked)
    return _count_tree(config.dataset, Path(str(config.root)), config.task)


@lru_cache
def _count_tree(dataset: str, root: Path, task: str | None) -> Sizes:
    try:
        tree = read_tree(dataset, root)
    except DataError as error:
        raise GridError(str(error)) from None
    counts = {name: len(part.images) for name, part in tree.parts.items()}
    if "trainval" in counts:
        both = counts["trainval"]
        counts["train"] = round(TRAIN_SHARE * both)
        counts["val"] = both - counts["train"]
    classes = tree.classes[task or next(iter(tree.classes))]
    masked = any(tree.parts["test"].masks)
    train, val, test = (counts[name] for name in ("train", "val", "test"))
    return Sizes(train, val, 0, test, len(classes), masked)


def count_annotated(config: RunConfig, sizes: Sizes) -> int:
    """Return how many training images have a true mask, all classes being large."""
    if config.annotations == "all":
        return sizes.train
    asked = {
        "per_class": config.annotations * sizes.classes,
        "total": config.annotations,
        "percent": -(-config.annotations * sizes.train // 100),
    }
    return min(sizes.train, asked[config.annotation_unit])
