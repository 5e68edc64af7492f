"""RRR-G, energy loss and HINT: three other losses on the Grad-CAMs of ReFF."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from reff_bench.catalog.options import (
    EnergyOptions,
    HintOptions,
    ReffOptions,
    RrrGOptions,
)
from reff_bench.losses import Pooling, normalize_maps, pool_mask
from reff_bench.methods.baseline import build_plain
from reff_bench.methods.method import Method, StepContext, Terms
from reff_bench.methods.reff import explain, with_penalty

SMALLEST_ENERGY = 1e-7  # of a map; below, its energy lies nowhere
# Grad-CAM of the label's logit in the pass that is classified.
GRAD_CAM = ReffOptions(
    target="label",
    score="logit",
    sign="relu",
    detach_weights=False,
    cam_bn="train",
    cam_precision="float32",
)


def rrr_g() -> Method:
    """Return RRR on Grad-CAMs."""
    return Method(build_plain, rrr_g_terms, second_order=True, options=RrrGOptions)


def energy() -> Method:
    """Return the energy loss."""
    return Method(build_plain, energy_terms, second_order=True, options=EnergyOptions)


def hint() -> Method:
    """Return HINT."""
    return Method(build_plain, hint_terms, second_order=True, options=HintOptions)


def rrr_g_terms(step: StepContext) -> Terms:
    """Return cross-entropy and the squared maps off the mask (`squares_outside`)."""
    return _penalize(step, step.options(RrrGOptions), squares_outside)


def energy_terms(step: StepContext) -> Terms:
    """Return cross-entropy and the maps' energy off the mask (`energy_outside`)."""
    return _penalize(step, step.options(EnergyOptions), energy_outside)


def hint_terms(step: StepContext) -> Terms:
    """Return cross-entropy and the maps' distance from the mask (`map_error`)."""
    return _penalize(step, step.options(HintOptions), map_error)


def squares_outside(
    maps: Sequence[Tensor], mask: Tensor, pooling: Pooling = "max"
) -> Tensor:
    """RRR with Grad-CAM in the gradients' place (Schramowski et al. 2020).

        sum over layers of the mean over images of  sum_ij ( (1 - M_ij) A_ij )^2

    with A a map and M = `pool_mask(mask)`. There: of the last layer. A published
    version takes the maps without their graph, which trains nothing.

    Args:
        maps: (N, h, w) float each, with their graph.
        mask: (N, H, W) float in [0, 1], 1 = relevant.
        pooling: See `pool_mask`.

    Returns:
        Scalar >= 0.
    """
    return torch.stack(
        [
            ((1 - _pooled(mask, one, pooling)) * one).square().sum((1, 2)).mean()
            for one in maps
        ]
    ).sum()


def energy_outside(
    maps: Sequence[Tensor], mask: Tensor, pooling: Pooling = "area"
) -> Tensor:
    """The share of the maps' energy off the mask (Rao et al., ICCV 2023).

        mean over layers and images of  1 - sum_ij M_ij A+_ij / sum_ij A+_ij

    with A+ = max(A, 0) and M = `pool_mask(mask)`. There: of B-cos networks and input
    times gradient. A map whose energy is below 1e-7 has none on the mask: it counts 1,
    without a gradient [ours]; `zero_maps_<layer>` logs how many are all zero. The loss
    is blind to scale, so a map that is nearly empty can satisfy it.

    Args:
        maps: (N, h, w) float each, with their graph.
        mask: (N, H, W) float in [0, 1], 1 = relevant.
        pooling: See `pool_mask`.

    Returns:
        Scalar in [0, 1].
    """
    shares = []
    for one in maps:
        positive = one.clamp_min(0)
        total = positive.sum((1, 2))
        inside = (_pooled(mask, one, pooling) * positive).sum((1, 2))
        has_energy = total >= SMALLEST_ENERGY
        share = inside / torch.where(has_energy, total, 1.0)
        shares.append((1 - torch.where(has_energy, share, 0.0)).mean())
    return torch.stack(shares).mean()


def map_error(
    maps: Sequence[Tensor], mask: Tensor, pooling: Pooling = "area"
) -> Tensor:
    """The squared distance of maps from the mask: HINT, or rewarding.

        mean over layers, images and runs of  ( A_ij / max A - M_ij )^2

    with A a map >= 0 and M = `pool_mask(mask)`: the form that explanatory interactive
    learning gives HINT (Selvaraju et al. 2019), which ranked regions [other].

    Args:
        maps: (N, h, w) float >= 0 each, with their graph.
        mask: (N, H, W) float in [0, 1], 1 = relevant.
        pooling: See `pool_mask`.

    Returns:
        Scalar in [0, 1].
    """
    errors = [
        (normalize_maps(one) - _pooled(mask, one, pooling)).square().mean()
        for one in maps
    ]
    return torch.stack(errors).mean()


def _penalize(
    step: StepContext,
    options: RrrGOptions | EnergyOptions,
    measure: Callable[[Sequence[Tensor], Tensor, Pooling], Tensor],
) -> Terms:
    """Return cross-entropy and a measure of the maps of the options' layers."""
    how = GRAD_CAM.model_copy(update={"layers": options.layers})
    output, maps = explain(step, how)
    penalty = measure(maps, step.batch.mask, options.pooling)
    return with_penalty(step, options, output, maps, penalty)


def _pooled(mask: Tensor, one: Tensor, pooling: Pooling) -> Tensor:
    return pool_mask(mask, (one.shape[1], one.shape[2]), pooling)
