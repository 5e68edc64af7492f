"""Background swap: images are composited over each other's backgrounds."""

import torch
from torch import Tensor

from reff_bench.catalog.options import SwapOptions
from reff_bench.methods.baseline import build_plain, cross_entropy
from reff_bench.methods.method import Method, StepContext, Terms, moved

SMALLEST_AREA = 1.0  # px; below, an image has no background to take a color from


def background_swap() -> Method:
    """Return the method."""
    return Method(build_plain, background_swap_terms)


def background_swap_terms(step: StepContext) -> Terms:
    """Return the cross-entropy on images over each other's backgrounds."""
    batch = step.batch
    probability = step.options(SwapOptions).swap_probability
    image, share = swap_backgrounds(
        batch.image, batch.mask, probability, step.generator
    )
    logits = step.forward(image).logits
    losses = {"cross_entropy": cross_entropy(logits, batch.label)}
    return Terms(logits, losses, log={"swapped": share})


def swap_backgrounds(
    image: Tensor, mask: Tensor, probability: float, generator: torch.Generator
) -> tuple[Tensor, float]:
    """Put the relevant region of some images over another image's background.

    Each image of the batch lends its background to the next one in a random order. What
    is relevant there is first painted over with the mean color of its background, so
    that no trace of another label's evidence comes along [assumed].

    Args:
        image: (N, 3, H, W) float.
        mask: (N, H, W) float in [0, 1], 1 = relevant; soft masks blend.
        probability: of each image to be changed.
        generator: on the CPU.

    Returns:
        (N, 3, H, W) float, and the share of the images that were changed.
    """
    N = len(image)
    order = torch.randperm(N, generator=generator)
    lender = torch.empty_like(order)
    lender[order] = order.roll(1)
    swapped = torch.rand(N, generator=generator) < probability
    inside = mask.unsqueeze(1).to(image.dtype)
    background = _emptied(image, inside)[moved(lender, image.device)]
    composite = inside * image + (1 - inside) * background
    chosen = moved(swapped, image.device).view(-1, 1, 1, 1)
    return torch.where(chosen, composite, image), float(swapped.float().mean())


def _emptied(image: Tensor, inside: Tensor) -> Tensor:
    """Paint over the relevant region with the mean color of the rest."""
    outside = 1 - inside
    area = outside.sum((2, 3), keepdim=True).clamp_min(SMALLEST_AREA)
    color = (outside * image).sum((2, 3), keepdim=True) / area
    return outside * image + inside * color
