"""TAP, the targeted activation penalty (Zhang et al., AAAI 2024): first order."""

from collections.abc import Sequence

import torch
from torch import Tensor

from reff_bench.catalog.options import TapOptions
from reff_bench.losses import Pooling, pool_mask
from reff_bench.methods.baseline import build_plain, cross_entropy
from reff_bench.methods.method import Method, StepContext, Terms


def tap() -> Method:
    """Return the method."""
    return Method(build_plain, tap_terms, options=TapOptions)


def tap_terms(step: StepContext) -> Terms:
    """Return cross-entropy and the activations off the mask."""
    options = step.options(TapOptions)
    output = step.forward(step.batch.image)
    stages = [output.stages[layer] for layer in options.layers]
    losses = {
        "cross_entropy": cross_entropy(output.logits, step.batch.label),
        "penalty": activations_outside(stages, step.batch.mask, options.pooling),
    }
    return Terms(output.logits, losses, {"penalty": step.warm(options.weight)})


def activations_outside(
    activations: Sequence[Tensor], mask: Tensor, pooling: Pooling = "max"
) -> Tensor:
    """The summed activations off the mask.

    Zhang et al. 2024, "Targeted Activation Penalties Help CNNs Ignore Spurious
    Signals", in our words:

        mean over layers and images of  || (1 - M) * sum_c A_c ||_F^2

    with A the output of a stage and M = `pool_mask(mask)`. No gradient is
    differentiated. The activations are raw, so the weight depends on network and
    layer; which layers they took isn't ours to copy: all stages [assumed].

    Args:
        activations: (N, C, h, w) float each, with their graph.
        mask: (N, H, W) float in [0, 1], 1 = relevant.
        pooling: See `pool_mask`.

    Returns:
        Scalar >= 0, float32 or more.
    """
    sizes = []
    for one in activations:
        total = one.sum(1, dtype=torch.promote_types(one.dtype, torch.float32))
        outside = 1 - pool_mask(mask, (one.shape[2], one.shape[3]), pooling)
        sizes.append((outside * total).square().sum((1, 2)).mean())
    return torch.stack(sizes).mean()
