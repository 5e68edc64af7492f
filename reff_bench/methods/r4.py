"""R4: no input gradient off the mask, in a whole neighborhood of an image; sampled."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reff_bench.catalog.options import R4Options
from reff_bench.methods.baseline import build_plain, cross_entropy
from reff_bench.methods.method import Method, StepContext, Terms, moved
from reff_bench.methods.rrr import irrelevant_area, masked_squares
from reff_bench.second_order import FastSecondOrder


def r4() -> Method:
    """Return the method."""
    return Method(build_plain, r4_terms, second_order=True, options=R4Options)


def r4_terms(step: StepContext) -> Terms:
    """Return cross-entropy and the largest input gradient off the mask nearby.

    Ghitu, Wicker and Piratla 2025, "Model Guidance via Robust Feature Attribution"
    (arXiv:2506.19680), by samples and in our words:

        mean over images of  max_{s = 0..S} || b * dL/dx (x + d_s) ||_2 / sqrt(sum b)

    with b = 1 - mask, L the cross-entropy of the image, d_0 = 0 and d_1 ... d_S drawn
    evenly from [-radius, radius] in each pixel and channel. The published form also
    bounds the maximum by intervals; the division by the irrelevant area is ours
    [assumed], as in RRR. The largest of the S + 1 is found without a graph, so that one
    gradient is differentiated, and this is the maximum's own gradient. BatchNorm's
    running statistics are used for it [assumed]: images of a batch don't mix.
    """
    options, batch = step.options(R4Options), step.batch
    logits = step.forward(batch.image).logits
    with step.running_statistics():
        worst = _find_worst(step, options)
        with FastSecondOrder():
            norm = gradient_norm(step, worst, create_graph=True)
    losses = {
        "cross_entropy": cross_entropy(logits, batch.label),
        "penalty": norm.mean(),
    }
    return Terms(logits, losses, {"penalty": step.warm(options.weight)})


def gradient_norm(step: StepContext, image: Tensor, *, create_graph: bool) -> Tensor:
    """Return || b * dL/dx ||_2 / sqrt(sum b) of each image, (N,) float.

    Args:
        step: its model, labels and masks count.
        image: (N, 3, S, S) float, where the gradient is taken.
        create_graph: whether it is going to be differentiated.
    """
    image = image.detach().requires_grad_()
    logits = step.forward(image).logits
    score = F.log_softmax(
        logits, 1, dtype=torch.promote_types(logits.dtype, torch.float32)
    )
    loss = F.nll_loss(score, step.batch.label, reduction="sum")
    (slope,) = torch.autograd.grad(loss, image, create_graph=create_graph)
    mask = step.batch.mask
    squares = masked_squares(slope, mask) / irrelevant_area(mask)
    # The square root has no slope at 0, where nothing is left to be learned.
    return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)


def _find_worst(step: StepContext, options: R4Options) -> Tensor:
    """Return the point around each image with the largest gradient, as the images."""
    image = step.batch.image
    worst, largest = image, gradient_norm(step, image, create_graph=False)
    for _ in range(options.samples):
        drawn = torch.rand(image.shape, generator=step.generator) * 2 - 1
        point = image + options.radius * moved(drawn, image.device)
        norm = gradient_norm(step, point, create_graph=False)
        larger = norm > largest
        worst = torch.where(larger.view(-1, 1, 1, 1), point, worst)
        largest = torch.where(larger, norm, largest)
    return worst
