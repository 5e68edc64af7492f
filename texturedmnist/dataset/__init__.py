"""`TexturedMNIST`, the torch view of a dataset."""

from texturedmnist.dataset.textured_mnist import TARGET_TYPES, TexturedMNIST

__all__ = ["TARGET_TYPES", "TexturedMNIST"]
