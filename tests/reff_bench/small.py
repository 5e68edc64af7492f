"""Runs that train in a second or two on embedded data."""

from pathlib import Path
from typing import Any

from reff_bench.catalog.methods import method_spec
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.grid.expand import recipe_fields
from texturedmnist.recipe import Recipe

SHARED = Path(__file__).parents[3] / "shared" / "data"
RECIPE: dict[str, Any] = {
    "bg": 0.0,
    "tex": 0.0,
    "digits": "embedded",
    "digit_textures": "embedded",
    "background_textures": "embedded",
    "embedded_instances": 6,
    "train": 90,
    "val": 30,
    "test": 40,
    "image_size": 28,
}
QUICK: dict[str, Any] = {
    "backbone": "resnet_small",
    "epochs": 2,
    "batch_size": 16,
    "annotator_base_channels": 4,
    "annotator_steps": 4,
}


def small_config(method: str = "baseline", **fields: Any) -> RunConfig:
    """A run on 160 embedded images of 28 px."""
    recipe = Recipe(
        **{k: fields.pop(k, v) for k, v in RECIPE.items()},
        seed=fields.pop("data_seed", 0),
    )
    options = {**QUICK, **method_spec(method).defaults, **fields}
    return RunConfig(
        dataset="textured_mnist", method=method, **recipe_fields(recipe), **options
    )


def folder_of(out: Path, config: RunConfig) -> Path:
    """Where the run's run lies."""
    return out / "cells" / config_id(config)
