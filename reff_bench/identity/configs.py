"""What the data and weights of runs are, and where now: `identify_configs`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from reff_bench.catalog.backbones import (
    BACKBONES,
    PACKAGED,
    PretrainedError,
    find_weights,
)
from reff_bench.catalog.datasets import find_dataset
from reff_bench.catalog.find import CatalogError, own_module
from reff_bench.catalog.methods import METHODS, known_method
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.expand import (
    RECIPE_FIELDS,
    check_counter_examples,
    recipe_fields,
    recipe_of,
)
from reff_bench.grid.fields import RANDOMNESS
from reff_bench.identity.tree import DataError, Tree, check_tree
from texturedmnist.common.cache import Cache, cached
from texturedmnist.common.digest import file_digest, json_digest
from texturedmnist.common.text import shown
from texturedmnist.manifest import DatasetError, read_manifest
from texturedmnist.recipe import Recipe, RecipeError
from texturedmnist.sources import SourceError, Sources, default_data_root, open_sources


def identify_configs(
    configs: Iterable[RunConfig], *, data_root: Path | None, cache_dir: Path | None
) -> tuple[RunConfig, ...]:
    """Return the runs of a grid with their identities and `root` filled in.

    A Textured MNIST is its recipe without paths and its sources' pixels, whether it is
    stored or rendered on the fly; a stored one fills in the recipe's fields too. An
    official tree is the content of its lists and the names and sizes of the images and
    masks that they name. Decoded textures are kept in `cache_dir`.

    Raises:
        GridError: data or weights are missing or unusable.
    """
    data_root = default_data_root() if data_root is None else data_root
    cache = Cache()  # of this call: files may change until the next one
    digests: dict[tuple[object, ...], str] = {}
    opened: dict[Recipe, Sources] = {}
    done = []
    for config in configs:
        if not find_dataset(config.dataset).rendered:
            config = _with_tree(cache, config, data_root)
        elif config.root is not None:
            config = _with_folder(config, Path(config.root))
        else:
            key = tuple(getattr(config, name) for name in RECIPE_FIELDS)
            if key not in digests:
                recipe = recipe_of(config)
                digests[key] = _recipe_identity(recipe, opened, data_root, cache_dir)
            config = config.model_copy(update={"data_identity": digests[key]})
        done.append(_with_code(cache, _with_weights(cache, config)))
    return tuple(done)


def _recipe_identity(
    recipe: Recipe,
    opened: dict[Recipe, Sources],
    data_root: Path,
    cache_dir: Path | None,
) -> str:
    """Return a recipe's identity; one of other randomness shares its sources."""
    shared = recipe.model_copy(update={**dict.fromkeys(RANDOMNESS, 0.0), "seed": 0})
    try:
        if shared not in opened:
            opened[shared] = open_sources(
                shared, data_root=data_root, cache_dir=cache_dir
            )
        return opened[shared].identity(recipe)
    except (RecipeError, SourceError) as error:
        raise GridError(f"the data of the grid: {error}") from None


def _with_folder(config: RunConfig, root: Path) -> RunConfig:
    try:
        manifest = read_manifest(root)
        fields = {k: v for k, v in manifest.recipe.items() if k in Recipe.model_fields}
        recipe = Recipe(**{**fields, "ties": None})
    except (DatasetError, RecipeError) as error:
        raise GridError(f"data.root: {root}: {error}") from None
    update = {**recipe_fields(recipe), "root": str(root.resolve())}
    config = config.model_copy(update={**update, "data_identity": manifest.identity})
    check_counter_examples(config, f"data.root: {root}")
    return config


def _with_tree(cache: Cache, config: RunConfig, data_root: Path) -> RunConfig:
    root = tree_root(config, data_root)
    facts = _read_facts(cache, config.dataset, root)
    if config.uses_annotator:
        _check_annotations(config, facts.masks[config.task or next(iter(facts.masks))])
    if known_method(config.method).uses_groups and not facts.grouped:
        raise GridError(
            f"{config.method} needs groups, and {config.dataset} has none but its "
            "classes; give data with groups, or leave the method out"
        )
    return config.model_copy(
        update={"root": str(root.resolve()), "data_identity": facts.identity}
    )


class _Facts(NamedTuple):
    """Of a tree: its identity, masks by task and class, whether it has own groups."""

    identity: str
    masks: Mapping[str, Counter[str]]
    grouped: bool


@cached()
def _read_facts(_: Cache, dataset: str, root: Path) -> _Facts:
    try:
        tree = read_tree(dataset, root)
    except (CatalogError, DataError) as error:
        raise GridError(f"the data of the grid: {error}") from None
    part = tree.parts["trainval" if "trainval" in tree.parts else "train"]
    masks = {}
    for task, labels in part.labels.items():
        masks[task] = Counter({tree.classes[task][label]: 0 for label in labels})
        pairs = zip(labels, part.masks, strict=True)
        masks[task].update(tree.classes[task][one] for one, mask in pairs if mask)
    return _Facts(tree.identity, masks, tree.groups is not None)


def _check_annotations(config: RunConfig, masks: Counter[str]) -> None:
    """Refuse more annotated images than there are masks.

    Masks that show nothing, and those that a random split gives to the validation, are
    known when the run opens its data, which refuses them likewise.
    """
    few, least = min(masks.items(), key=lambda one: one[1])
    unit = config.annotation_unit
    found, whose = {
        "per_class": (least, f"class {shown(few)} has"),
        "total": (masks.total(), "there are"),
    }.get(unit, (100, ""))
    if int(config.annotations) > found:
        raise GridError(
            f"annotations {config.annotations} {unit}: {whose} {found} training images "
            f"with a mask; at most {found} or all is allowed"
        )


def tree_root(config: RunConfig, data_root: Path) -> Path:
    """Return the folder of a run's image files."""
    folder = find_dataset(config.dataset).folder
    return Path(config.root) if config.root else data_root / (folder or "")


def read_tree(dataset: str, root: Path) -> Tree:
    """Return the files of a dataset.

    Raises:
        DataError: they aren't there, are incomplete or contradict themselves.
        CatalogError: the dataset is unknown.
    """
    return check_tree(find_dataset(dataset).read_tree(root), dataset, root)


def _with_code(cache: Cache, config: RunConfig) -> RunConfig:
    """Fill in what the user's own modules are, so that an edit makes another run."""
    named = (
        own_module(config.method, METHODS, "reff_bench.methods"),
        own_module(config.backbone, BACKBONES, "reff_bench.backbones"),
    )
    digests = [_module_digest(cache, module) for module in named if module is not None]
    if not digests:
        return config
    return config.model_copy(update={"code_identity": json_digest(digests)})


@cached()
def _module_digest(_: Cache, module: str) -> str:
    """Return the sha256 (hex) of a module's source, empty where there is none."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return ""
    origin = None if spec is None else spec.origin
    return file_digest(Path(origin)) if origin and Path(origin).is_file() else ""


def _with_weights(cache: Cache, config: RunConfig) -> RunConfig:
    update = {}
    if config.weights == "imagenet" and config.backbone in PACKAGED:
        try:
            path = find_weights(config.backbone)
        except PretrainedError as error:
            raise GridError(str(error)) from None
    elif config.weights in (None, "imagenet"):
        return config
    else:
        path = Path(str(config.weights))
        update["weights"] = str(path.resolve())
    update["weights_identity"] = _file_sha(cache, path)
    return config.model_copy(update=update)


@cached()
def _file_sha(_: Cache, path: Path) -> str:
    if not path.is_file():
        raise GridError(
            f"weights = {str(path)!r}: there is no such file; allowed: imagenet, a "
            "file of weights, or null to train from scratch"
        )
    return file_digest(path)


def find_data(
    configs: Iterable[RunConfig], data_root: Path | None
) -> tuple[RunConfig, ...]:
    """Return planned runs with the paths of their data under another data root.

    Rendered data have no path and need none; without a root all stays as it is.

    Raises:
        GridError: the data aren't there, or are others.
    """
    if data_root is None:
        return tuple(configs)
    found: dict[tuple[object, ...], str] = {}
    moved = []
    for config in configs:
        if config.root is not None:
            key = (config.dataset, config.root, config.data_identity)
            if key not in found:
                found[key] = _find(config, data_root)
            config = config.model_copy(update={"root": found[key]})
        moved.append(config)
    return tuple(moved)


def _find(config: RunConfig, data_root: Path) -> str:
    """Return where one run's data are now."""
    name = Path(str(config.root)).name
    # A stored Textured MNIST, and photographs in a folder of the user's own naming;
    # None: photographs under the official name.
    places = [str(data_root / name), str(data_root)]
    tried = [None, *places] if config.dataset != "textured_mnist" else places
    reasons = []
    for root in tried:
        bare = config.model_copy(update={"root": root, "weights": None})
        try:
            (there,) = identify_configs([bare], data_root=data_root, cache_dir=None)
        except GridError as error:
            reasons.append(str(error))
            continue
        if there.data_identity == config.data_identity:
            return str(there.root)
        reasons.append(f"{there.root} holds other data than the runs were planned with")
    raise GridError(
        f"--data-root {data_root}: the data of these runs, once in {config.root}, "
        f"aren't there: {reasons[0]}"
    )
