"""The ReFF benchmark: a grid of methods, trained, evaluated and tabulated."""

from texturedmnist import __version__

__all__ = ["__version__"]
