"""What the data and the weights of a cell are: `identify_cells`."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from reff_bench.grid import Cell, GridError, cell_recipe, recipe_fields
from reff_bench.grid.expand import RECIPE_FIELDS
from reff_bench.grid.fields import KNOBS
from reff_bench.identity import isic2017, pets
from reff_bench.identity.errors import DataError
from reff_bench.identity.isic2017 import read_isic2017
from reff_bench.identity.pets import read_pets
from reff_bench.pretrained import PACKAGED, PretrainedError, find_weights
from texturedmnist.common.digest import file_digest
from texturedmnist.manifest import DatasetError, read_manifest
from texturedmnist.recipe import Recipe, RecipeError
from texturedmnist.sources import (
    SourceError,
    Sources,
    default_data_root,
    open_sources,
)

# Under the data root, as torchvision and the official archives name them.
DEFAULT_ROOTS = {"isic2017": isic2017.FOLDER, "pets": pets.FOLDER}
READERS = {"isic2017": read_isic2017, "pets": read_pets}


def identify_cells(
    cells: Iterable[Cell], *, data_root: Path | None, cache_dir: Path | None
) -> tuple[Cell, ...]:
    """Return the cells with `data_identity`, `weights_identity` and `root` filled in.

    A Textured MNIST is its recipe without paths and its sources' pixels, whether it is
    stored or rendered on the fly; a stored one fills in the recipe's fields too. An
    official tree is the content of its lists and the names and sizes of the images and
    masks that they name.

    Args:
        cells: of one grid.
        data_root: where MNIST, DTD and the official trees are.
        cache_dir: where decoded textures are kept.

    Raises:
        GridError: data or weights are missing or unusable.
    """
    data_root = default_data_root() if data_root is None else data_root
    digests: dict[tuple[object, ...], str] = {}
    opened: dict[Recipe, Sources] = {}
    done = []
    for cell in cells:
        if cell.dataset in READERS:
            cell = _with_tree(cell, data_root)
        elif cell.root is not None:
            cell = _with_folder(cell, Path(cell.root))
        else:
            key = tuple(getattr(cell, name) for name in RECIPE_FIELDS)
            if key not in digests:
                recipe = cell_recipe(cell)
                digests[key] = _recipe_identity(recipe, opened, data_root, cache_dir)
            cell = cell.model_copy(update={"data_identity": digests[key]})
        done.append(_with_weights(cell))
    return tuple(done)


def _recipe_identity(
    recipe: Recipe,
    opened: dict[Recipe, Sources],
    data_root: Path,
    cache_dir: Path | None,
) -> str:
    """Return a recipe's identity; recipes that differ in knobs share their sources."""
    shared = recipe.model_copy(update={**dict.fromkeys(KNOBS, 0.0), "seed": 0})
    try:
        if shared not in opened:
            opened[shared] = open_sources(
                shared, data_root=data_root, cache_dir=cache_dir
            )
        return opened[shared].identity(recipe)
    except (RecipeError, SourceError) as error:
        raise GridError(f"the data of the grid: {error}") from None


def _with_folder(cell: Cell, root: Path) -> Cell:
    try:
        manifest = read_manifest(root)
        fields = {k: v for k, v in manifest.recipe.items() if k in Recipe.model_fields}
        recipe = Recipe(**{**fields, "ties": None})
    except (DatasetError, RecipeError) as error:
        raise GridError(f"data.root: {root}: {error}") from None
    update = {**recipe_fields(recipe), "root": str(root.resolve())}
    return cell.model_copy(update={**update, "data_identity": manifest.identity})


def _with_tree(cell: Cell, data_root: Path) -> Cell:
    root = Path(cell.root or data_root / DEFAULT_ROOTS[cell.dataset])
    return cell.model_copy(
        update={
            "root": str(root.resolve()),
            "data_identity": _tree_identity(root, cell.dataset),
        }
    )


@cache
def _tree_identity(root: Path, dataset: str) -> str:
    try:
        return READERS[dataset](root).identity
    except DataError as error:
        raise GridError(f"the data of the grid: {error}") from None


def _with_weights(cell: Cell) -> Cell:
    if cell.weights == "imagenet" and cell.backbone in PACKAGED:
        try:
            packaged = find_weights(cell.backbone)
        except PretrainedError as error:
            raise GridError(str(error)) from None
        return cell.model_copy(update={"weights_identity": _file_sha(packaged)})
    if cell.weights in (None, "imagenet"):
        return cell
    path = Path(str(cell.weights))
    return cell.model_copy(
        update={"weights": str(path.resolve()), "weights_identity": _file_sha(path)}
    )


@cache
def _file_sha(path: Path) -> str:
    if not path.is_file():
        raise GridError(
            f"weights = {str(path)!r}: there is no such file; allowed: imagenet, a "
            "file of weights, or null to train from scratch"
        )
    return file_digest(path)
