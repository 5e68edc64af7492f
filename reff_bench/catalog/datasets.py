"""The datasets, as far as a grid has to know them: `DATASETS`, `find_dataset`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reff_bench.catalog.find import CatalogError, check_name, import_object, load

if TYPE_CHECKING:
    from reff_bench.identity.tree import Tree

GROUP = "reff_bench.datasets"
PHOTOGRAPHS: Mapping[str, Any] = {"flips": True, "epochs": 50}  # method.md 6 [assumed]


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """One dataset.

    Examples:
        >>> from reff_bench import DatasetSpec
        >>> birds = DatasetSpec("Birds", "own_dataset:birds", tasks={"bird": 2})
        >>> birds.rendered
        False

    Attributes:
        title: its name in tables.
        read: a function that reads and checks what lies in a folder, without decoding
            an image, or its import path. None: Textured MNIST, which is rendered.
        folder: its usual name below the data root; None: the grid must say `root`.
        tasks: number of classes by task, the default first; none: one task alone.
        coding: how its mask files say what is relevant.
        sizes: official numbers of training, validation and test images, if any.
        defaults: of training keys, where they differ from Textured MNIST's.
    """

    title: str
    read: "str | Callable[[Path], Tree] | None"
    folder: str | None = None
    tasks: Mapping[str, int] = field(default_factory=dict)
    coding: Literal["two_values", "trimap"] = "two_values"
    sizes: tuple[int, int, int] | None = None
    defaults: Mapping[str, Any] = field(default_factory=lambda: PHOTOGRAPHS)

    @property
    def rendered(self) -> bool:
        """Whether its images are made from a recipe."""
        return self.read is None

    def read_tree(self, root: Path) -> "Tree":
        """Return what lies in a folder.

        Raises:
            DataError: it isn't there, is incomplete or contradicts itself.
        """
        assert self.read is not None, "what is rendered has no tree"
        read = import_object(self.read) if isinstance(self.read, str) else self.read
        tree: Tree = read(root)
        return tree


DATASETS: Mapping[str, DatasetSpec] = {
    "textured_mnist": DatasetSpec("Textured MNIST", None, defaults={}),
    "isic2017": DatasetSpec(
        "ISIC2017",
        "reff_bench.identity.isic2017:read_isic2017",
        folder="isic2017",
        tasks={"three_classes": 3, "melanoma": 2, "seborrheic_keratosis": 2},
        sizes=(2000, 150, 600),
    ),
    "pets": DatasetSpec(
        "Oxford-IIIT Pet",
        "reff_bench.identity.pets:read_pets",
        folder="oxford-iiit-pet",
        tasks={"breed": 37, "species": 2},
        coding="trimap",
        sizes=(3312, 368, 3669),  # the official 3,680 are split 90/10
    ),
    "folder": DatasetSpec("folder of images", "reff_bench.identity.folder:read_folder"),
}


# Returns a name that there may be, or raises CatalogError; nothing is imported.
check_dataset = partial(check_name, "data kind", known=DATASETS, group=GROUP)


def dataset_title(name: str) -> str:
    """Return the name of a dataset in tables; nothing is imported."""
    return DATASETS[name].title if name in DATASETS else name.rpartition(":")[2]


def find_dataset(name: str) -> DatasetSpec:
    """Return a dataset: of `DATASETS`, installed, or the user's own.

    Args:
        name: of `DATASETS` or of an entry point, or `package.module:name` of a
            `DatasetSpec` or of a function from a folder's path to a `Tree`.

    Raises:
        CatalogError: it can't be imported, or is something else.
    """
    if name in DATASETS:
        return DATASETS[name]
    found = load(name, GROUP)
    if isinstance(found, DatasetSpec):
        return found
    if not callable(found):
        raise CatalogError(
            f"{name} is a {type(found).__name__}; it should be a function from the "
            "path of a folder to a reff_bench.identity.Tree, or a DatasetSpec"
        )
    return DatasetSpec(name.rpartition(":")[2], found)
