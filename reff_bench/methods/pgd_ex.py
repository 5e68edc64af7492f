"""PGD-Ex (Heo et al., NeurIPS 2023): robust to what happens off the mask."""

import torch
from torch import Tensor
from torch.nn import functional as F

from reff_bench.catalog.options import PgdExOptions
from reff_bench.methods.baseline import build_plain, cross_entropy
from reff_bench.methods.method import Method, StepContext, Terms


def pgd_ex() -> Method:
    """Return the method."""
    return Method(build_plain, pgd_ex_terms, options=PgdExOptions)


def pgd_ex_terms(step: StepContext) -> Terms:
    """Return the cross-entropy of the images and of their worst backgrounds."""
    options, batch = step.options(PgdExOptions), step.batch
    with step.running_statistics():
        attacked = attack(step, options.radius, options.attack_steps)
    logits = step.forward(batch.image).logits
    losses = {
        "cross_entropy": cross_entropy(logits, batch.label),
        "attacked": cross_entropy(step.forward(attacked).logits, batch.label),
    }
    return Terms(logits, losses, {"attacked": step.warm(options.weight)})


def attack(step: StepContext, radius: float, steps: int) -> Tensor:
    """Return the images with what is irrelevant moved against the classifier.

    Heo et al. 2023, "Use Perturbations when Learning from Explanations":
    projected gradient ascent on the cross-entropy, within the mask's complement:

        x' = x + d,   d <- clip( d + a * b * sign(dL/dx (x + d)), -radius, radius )

    from d = 0, with b = 1 - mask (soft masks move less) and a = 2 radius / steps
    [assumed]; the attack uses BatchNorm's running statistics [assumed] where the
    caller asks for them.

    Args:
        step: its model, images, labels and masks count.
        radius: of the ball of the maximum norm, in normalized units.
        steps: of the ascent.

    Returns:
        (N, 3, S, S) float without a graph; as it was where the mask is 1.
    """
    image, label = step.batch.image, step.batch.label
    outside = (1 - step.batch.mask).unsqueeze(1)
    offset = torch.zeros_like(image)
    for _ in range(steps):
        point = (image + offset).detach().requires_grad_()
        logits = step.forward(point).logits
        loss = F.cross_entropy(logits.float(), label, reduction="sum")
        (slope,) = torch.autograd.grad(loss, point)
        offset = offset + 2 * radius / steps * outside * slope.sign()
        offset = offset.clamp(-radius, radius)
    return image + offset
