"""`TexturedMNIST`, the torch view of a dataset; its twins and environments."""

from texturedmnist.dataset.device import DeviceSamples
from texturedmnist.dataset.environment import environments
from texturedmnist.dataset.targets import TARGET_TYPES
from texturedmnist.dataset.textured_mnist import TexturedMNIST
from texturedmnist.dataset.twins import TwinPairs

__all__ = [
    "TARGET_TYPES",
    "DeviceSamples",
    "TexturedMNIST",
    "TwinPairs",
    "environments",
]
