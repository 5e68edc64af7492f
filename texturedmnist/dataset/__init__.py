"""`TexturedMNIST`, the torch view; counterfactuals and environments."""

from texturedmnist.dataset.environment import environments
from texturedmnist.dataset.targets import TARGET_TYPES
from texturedmnist.dataset.textured_mnist import TexturedMNIST
from texturedmnist.dataset.views import CounterfactualPairs, DeviceSamples

__all__ = [
    "TARGET_TYPES",
    "CounterfactualPairs",
    "DeviceSamples",
    "TexturedMNIST",
    "environments",
]
