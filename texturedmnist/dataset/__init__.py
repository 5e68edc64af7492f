"""`TexturedMNIST`, the torch view; counterfactuals and environments."""

from texturedmnist.dataset.counterfactuals import CounterfactualPairs
from texturedmnist.dataset.device import DeviceSamples
from texturedmnist.dataset.environment import environments
from texturedmnist.dataset.targets import TARGET_TYPES
from texturedmnist.dataset.textured_mnist import TexturedMNIST

__all__ = [
    "TARGET_TYPES",
    "CounterfactualPairs",
    "DeviceSamples",
    "TexturedMNIST",
    "environments",
]
