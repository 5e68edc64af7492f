"""Textured MNIST: digits with a texture on a textured background, masks exact.

The names in `__all__`, and those of `texturedmnist.interop`, are the public interface.
Importing this package stays light: a name is resolved when it is first used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from texturedmnist.dataset import (
        CounterfactualPairs,
        DeviceSamples,
        TexturedMNIST,
        environments,
    )
    from texturedmnist.manifest import DatasetError
    from texturedmnist.recipe import Recipe, RecipeError, load_recipe
    from texturedmnist.sources import SourceError

__version__ = "0.1.0"
__all__ = [
    "CounterfactualPairs",
    "DatasetError",
    "DeviceSamples",
    "Recipe",
    "RecipeError",
    "SourceError",
    "TexturedMNIST",
    "__version__",
    "environments",
    "load_recipe",
]

_MODULE_OF = {
    "DatasetError": "texturedmnist.manifest",
    "DeviceSamples": "texturedmnist.dataset",
    "Recipe": "texturedmnist.recipe",
    "RecipeError": "texturedmnist.recipe",
    "SourceError": "texturedmnist.sources",
    "TexturedMNIST": "texturedmnist.dataset",
    "CounterfactualPairs": "texturedmnist.dataset",
    "environments": "texturedmnist.dataset",
    "load_recipe": "texturedmnist.recipe",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
