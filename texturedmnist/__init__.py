"""Textured MNIST: digits with a texture on a textured background, masks exact.

Importing this package stays light: a name that needs torch is resolved when it is
first used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from texturedmnist.dataset import TexturedMNIST, environments
    from texturedmnist.recipe import Recipe, load_recipe

__version__ = "0.1.0"
__all__ = ["Recipe", "TexturedMNIST", "__version__", "environments", "load_recipe"]

_ROOM_OF = {
    "Recipe": "texturedmnist.recipe",
    "TexturedMNIST": "texturedmnist.dataset",
    "environments": "texturedmnist.dataset",
    "load_recipe": "texturedmnist.recipe",
}


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_ROOM_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOM_OF})
