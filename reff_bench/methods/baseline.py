"""Baseline: cross-entropy alone."""

import torch.nn.functional as F
from torch import Tensor, nn

from reff_bench.grid.config import RunConfig
from reff_bench.methods.method import Method, StepContext, Terms
from reff_bench.models.backbone import build_backbone


def baseline() -> Method:
    """Return the method."""
    return Method(build_plain, baseline_terms)


def baseline_terms(step: StepContext) -> Terms:
    """Return the cross-entropy of a step."""
    logits = step.forward(step.batch.image).logits
    return Terms(logits, {"cross_entropy": cross_entropy(logits, step.batch.label)})


def build_plain(config: RunConfig, num_classes: int, seed: int) -> nn.Module:
    """Build the run's backbone, as most methods need no other network.

    Examples:
        >>> import torch
        >>> from types import SimpleNamespace
        >>> from reff_bench import build_plain
        >>> run = SimpleNamespace(backbone="resnet_small", weights=None)  # of a grid
        >>> build_plain(run, 10, seed=0)(torch.zeros(2, 3, 32, 32)).logits.shape
        torch.Size([2, 10])

    Args:
        config: the run, whose `backbone` and `weights` count.
        num_classes: K, 1 or more.
        seed: of the weights that are drawn; torch's global state is left alone.

    Returns:
        A module from (N, 3, H, W) float images to an `Output` with (N, K) logits.

    Raises:
        ModelError: the network is unknown, or the weights can't be had or don't fit.
    """
    return build_backbone(
        config.backbone, num_classes, weights=config.weights, seed=seed
    )


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross-entropy, in float32."""
    return F.cross_entropy(logits.float(), label)
