"""RRR, "right for the right reasons" (Ross et al. 2017): no gradient off the mask."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reff_bench.catalog.options import RrrOptions
from reff_bench.methods.baseline import build_plain, cross_entropy
from reff_bench.methods.method import Method, StepContext, Terms
from reff_bench.second_order import FastSecondOrder

SMALLEST_AREA = 1.0  # px; below, nothing of an image is irrelevant


def rrr() -> Method:
    """Return the method."""
    return Method(build_plain, rrr_terms, second_order=True, options=RrrOptions)


def rrr_terms(step: StepContext) -> Terms:
    """Return cross-entropy and the input gradients' size off the mask."""
    image = step.batch.image.detach().requires_grad_()
    with FastSecondOrder():
        logits = step.forward(image).logits
    penalty = input_gradient_penalty(logits, image, step.batch.mask)
    losses = {
        "cross_entropy": cross_entropy(logits, step.batch.label),
        "penalty": penalty,
    }
    weight = step.warm(step.options(RrrOptions).weight)
    return Terms(logits, losses, {"penalty": weight})


def input_gradient_penalty(logits: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """The squared input gradients of all log-probabilities off the mask.

    Ross, Hughes and Doshi-Velez 2017 (arXiv:1703.03717), in our words:

        mean over images of  sum_cij ( b_ij * d/dx_cij sum_k log p_k )^2 / sum_ij b_ij

    with b = 1 - `mask`, x = `image` and p = softmax of `logits`. The paper sums over
    pixels and images; public code takes sums, means or norms, so that no published
    weight fits another's loss. The mean over an image's irrelevant pixels is ours
    [assumed]: the weight then depends neither on the image size nor on the batch.

    Args:
        logits: (N, K) float, whose graph begins at `image`.
        image: (N, 3, H, W) float.
        mask: (N, H, W) float in [0, 1], 1 = relevant.

    Returns:
        Scalar >= 0, float32 or more, with its graph.
    """
    dtype = torch.promote_types(logits.dtype, torch.float32)
    score = F.log_softmax(logits, 1, dtype=dtype)
    (slope,) = torch.autograd.grad(score.sum(), image, create_graph=True)
    return masked_squares(slope, mask).div(irrelevant_area(mask)).mean()


def masked_squares(slope: Tensor, mask: Tensor) -> Tensor:
    """Return sum (b * slope)^2 of each image, (N,) float.

    Args:
        slope: (N, 3, H, W) float.
        mask: (N, H, W) float in [0, 1], 1 = relevant.
    """
    return ((1 - mask).unsqueeze(1) * slope).square().sum((1, 2, 3))


def irrelevant_area(mask: Tensor) -> Tensor:
    """Return sum b of each image in px, (N,) float, at least `SMALLEST_AREA`."""
    return (1 - mask).sum((1, 2)).clamp_min(SMALLEST_AREA)
