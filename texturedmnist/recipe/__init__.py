"""What to make: the recipe and the assignment of textures to digits."""

from texturedmnist.recipe.assignment import (
    DTD_CLASSES,
    NAMED_SOURCES,
    Assignment,
    resolve_assignment,
)
from texturedmnist.recipe.base import RecipeError
from texturedmnist.recipe.model import (
    RECIPE_VERSION,
    SPLITS,
    Recipe,
    dataset_identity,
    load_recipe,
    recipe_hash,
)
from texturedmnist.recipe.presets import PRESETS, find_preset

__all__ = [
    "DTD_CLASSES",
    "NAMED_SOURCES",
    "PRESETS",
    "RECIPE_VERSION",
    "SPLITS",
    "Assignment",
    "Recipe",
    "RecipeError",
    "dataset_identity",
    "find_preset",
    "load_recipe",
    "recipe_hash",
    "resolve_assignment",
]
