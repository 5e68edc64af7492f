"""From a grid to its runs."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

from pydantic import ValidationError

from reff_bench.catalog.backbones import find_backbone
from reff_bench.catalog.datasets import find_dataset
from reff_bench.catalog.find import CatalogError
from reff_bench.catalog.methods import METHOD_OPTIONS, known_method, method_spec
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.fields import RANDOMNESS, RECIPE_KEYS, SIZES, describe_error
from reff_bench.grid.model import Grid
from texturedmnist.recipe import PRESETS, Recipe, RecipeError

RECIPE_FIELDS = tuple("data_seed" if key == "seed" else key for key in RECIPE_KEYS)
# A preset leaves these open.
SOURCES = (
    *("digits", "digit_textures", "background_textures"),
    *("embedded_instances", "dtd_partition"),
)
CLASSES = 10  # of a Textured MNIST: the digits
MOST_RUNS = 1_000_000


def expand(grid: Grid) -> tuple[RunConfig, ...]:
    """Return every run of a grid, tuned values included, each once.

    Where a value is given more than once, an axis beats the method's own options, these
    beat `training`, and that beats the default. A method's own value also exempts it
    from tuning. An axis that a method doesn't use makes no further runs of it.

    Raises:
        GridError: values that don't fit each other, or a block that adds nothing.
    """
    configs: dict[RunConfig, None] = {}
    _check_tuned(grid)
    _check_count(grid)
    for block, where in zip(grid.blocks, grid.places, strict=True):
        _check_block(grid, block, where)
        new = [
            config
            for config in _block_configs(grid, block, where)
            if config not in configs
        ]
        for config in new:
            _check_annotations(config, where)
            check_counter_examples(config, where)
        if not new:
            raise GridError(f"{where}: every run of this block is in a block above")
        configs.update(dict.fromkeys(new))
    return tuple(configs)


def tuned_options(grid: Grid, method: str) -> dict[str, tuple[Any, ...]]:
    """Return the options that are tuned for a method, with their values."""
    used = method_spec(method).options.model_fields
    own = grid.methods.get(method, {})
    return {
        name: values
        for name, values in grid.select.options.items()
        if name not in own and (name in used or name not in METHOD_OPTIONS)
    }


def _check_tuned(grid: Grid) -> None:
    methods = {name for block in grid.blocks for name in block["method"]}
    for option in grid.select.options:
        if not any(option in tuned_options(grid, name) for name in methods):
            raise GridError(
                f"{grid.path}: select.options.{option}: no method of this grid has "
                "this option to tune; leave it out"
            )


def _check_count(grid: Grid) -> None:
    """Refuse more runs than memory may hold before the first one is made."""
    tuned = prod(len(values) for values in grid.select.options.values())
    axes = (prod(len(values) for values in block.values()) for block in grid.blocks)
    count = tuned * sum(axes)
    if count > MOST_RUNS:
        raise GridError(
            f"{grid.path}: the axes make up to {count:,} runs; at most "
            f"{MOST_RUNS:,} are allowed: give fewer values"
        )


def _check_block(grid: Grid, block: Mapping[str, Any], where: str) -> None:
    for option in grid.select.options:
        if option in block:
            raise GridError(
                f"{where}: {option} is an axis and is tuned by select.options; choose "
                "one of the two"
            )
    rendered = find_dataset(grid.data["dataset"]).rendered
    if not rendered or "root" in grid.data:
        what = "a finished folder" if rendered else grid.data["dataset"]
        # Photographs can be resized; what was rendered at one size stays as it is.
        for axis in (*RANDOMNESS, *SIZES) if rendered else (*RANDOMNESS, "digit_size"):
            if axis in block:
                raise GridError(
                    f"{where}: {axis} can't be an axis: {what} can't be rendered again"
                )
        return
    for randomness in ("bg", "tex"):
        if randomness not in block and randomness not in grid.data:
            raise GridError(
                f"{where}: {randomness} is missing; give it in data or as an axis, 0 "
                "to 1"
            )


def _check_annotations(config: RunConfig, where: str) -> None:
    """Refuse more annotated images than there are images to train on."""
    # A block keeps what the other methods, which use none, are tabulated under.
    asked = config.annotations
    if config.train is None or not config.uses_annotator or asked == "all":
        return
    needed = {"per_class": CLASSES * asked, "total": asked}.get(
        config.annotation_unit, 0
    )
    if needed > config.train:
        raise GridError(
            f"{where}: annotations {asked} {config.annotation_unit} of {config.train} "
            f"training images: at most {config.train * asked // needed} or all is "
            "allowed"
        )


def check_counter_examples(config: RunConfig, where: str) -> None:
    """Refuse a method that needs groups where each class has a single one.

    Raises:
        GridError: the background follows the label without exception.
    """
    if known_method(config.method).uses_groups and config.bg == 0:
        raise GridError(
            f"{where}: {config.method} needs groups, and with bg 0 there is no "
            "counter-example: each digit has aligned backgrounds alone; give bg above "
            f"0, or {config.method} a block of its own"
        )


def _block_configs(
    grid: Grid, block: Mapping[str, Any], where: str
) -> Iterator[RunConfig]:
    for values in product(*block.values()):
        axes = dict(zip(block, values, strict=True))
        tuned = tuned_options(grid, axes["method"])
        for choice in product(*tuned.values()):
            fields = {**axes, **dict(zip(tuned, choice, strict=True))}
            yield _resolve(grid, fields, where)


def _resolve(grid: Grid, axes: Mapping[str, Any], where: str) -> RunConfig:
    """Return the run of some values of the axes, every default filled in."""
    method = axes["method"]
    own = grid.methods.get(method, {})
    shared = {**_defaults(grid.data["dataset"]), **grid.data, **grid.training}
    given = {**shared, **own, **axes}
    try:
        kind = method_spec(method).options
        used = {name: given[name] for name in kind.model_fields if name in given}
        fields = {
            name: value
            for name, value in given.items()
            if name in RunConfig.model_fields and name not in RECIPE_FIELDS
        }
        fields["options"] = kind(**used)
        if "weights" not in fields:
            fields["weights"] = find_backbone(str(fields["backbone"])).weights
        fields.update(_data_fields(given))
        return RunConfig(**fields)
    except (RecipeError, CatalogError) as error:
        raise GridError(f"{where}: {error}") from None
    except ValidationError as error:
        raise GridError(f"{where}: {describe_error(error)}") from None


def _defaults(dataset: str) -> dict[str, Any]:
    spec = find_dataset(dataset)
    fields: dict[str, Any] = {"backbone": "resnet50", **spec.defaults}
    if spec.tasks:
        fields["task"] = next(iter(spec.tasks))
    return fields


def _data_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say what the pixels are; a folder fills in its own."""
    if not find_dataset(given["dataset"]).rendered:
        return {"image_size": given.get("image_size", 224)}
    if given.get("root") is not None:
        return {}
    named = {name: given[name] for name in RECIPE_FIELDS if name in given}
    if "data_seed" in named:
        named["seed"] = named.pop("data_seed")
    return dict(_recipe_fields(tuple(named.items())))


@lru_cache(maxsize=1024)
def _recipe_fields(named: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Return a recipe's fields; the runs of a grid share few recipes."""
    return recipe_fields(Recipe(**dict(named)))


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as fields of a run, every default filled in."""
    fields = {key: getattr(recipe, key) for key in RECIPE_KEYS if key != "seed"}
    fields["test_tex"] = recipe.randomness("test")[1]
    fields["digit_size"] = recipe.digit_size_px
    return {**fields, "data_seed": recipe.seed}


def recipe_of(config: RunConfig) -> Recipe:
    """Return the recipe of a Textured MNIST run, `val_shifted` not stored."""
    fields = {key: getattr(config, key) for key in RECIPE_KEYS if key != "seed"}
    return Recipe(**fields, seed=config.data_seed)


def preset_of(config: RunConfig) -> str | None:
    """Return the preset that a run's data are, whatever their sources; None: none."""
    for name, preset in PRESETS.items():
        fields = recipe_fields(Recipe(**preset.fields))
        if all(
            config.value(key) == value
            for key, value in fields.items()
            if key not in SOURCES
        ):
            return name
    return None
