"""The ReFF benchmark on Textured MNIST: for now only the frame of its command."""

from texturedmnist import __version__

__all__ = ["__version__"]
