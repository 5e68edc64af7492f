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
from texturedmnist.recipe.ties import DTD_CLASSES, NAMED_SOURCES, Ties, resolve_ties

__all__ = [
    "DTD_CLASSES",
    "NAMED_SOURCES",
    "RECIPE_VERSION",
    "SPLITS",
    "Recipe",
    "RecipeError",
    "Ties",
    "dataset_identity",
    "load_recipe",
    "recipe_hash",
    "resolve_ties",
]
