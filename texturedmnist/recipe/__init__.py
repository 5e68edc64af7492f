"""What to make: the recipe of a Textured MNIST and the ties of textures to digits."""

from texturedmnist.recipe.base import RecipeError
from texturedmnist.recipe.model import (
    RECIPE_VERSION,
    SPLITS,
    Recipe,
    dataset_identity,
    load_recipe,
    recipe_hash,
)
from texturedmnist.recipe.presets import PRESETS, Preset, find_preset, preset_fields
from texturedmnist.recipe.ties import DTD_CLASSES, NAMED_SOURCES, Ties, resolve_ties

__all__ = [
    "DTD_CLASSES",
    "NAMED_SOURCES",
    "PRESETS",
    "RECIPE_VERSION",
    "SPLITS",
    "Preset",
    "Recipe",
    "RecipeError",
    "Ties",
    "dataset_identity",
    "find_preset",
    "load_recipe",
    "preset_fields",
    "recipe_hash",
    "resolve_ties",
]
