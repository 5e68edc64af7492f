"""A method of one's own: Right for the Right Reasons (Ross et al. 2017).

Cross-entropy, and the gradient of the summed log-probabilities by the image is to be
small outside the mask. A grid names it as `own_method:right_reasons`.
"""

import torch

from reff_bench import Method, Options, StepContext, Terms, build_plain


class RightReasonsOptions(Options):
    """What a grid may set."""

    weight: float = 10.0
    warmup: float = 0.5


def losses(step: StepContext) -> Terms:
    """Return the losses of a step, the penalty weighted by the option `weight`."""
    image = step.batch.image.clone().requires_grad_()
    logits = step.forward(image).logits
    scores = logits.float().log_softmax(1)
    (gradient,) = torch.autograd.grad(scores.sum(), image, create_graph=True)
    outside = 1 - step.batch.mask.unsqueeze(1)
    terms = {
        "cross_entropy": torch.nn.functional.nll_loss(scores, step.batch.label),
        "penalty": (gradient * outside).square().sum((1, 2, 3)).mean(),
    }
    return Terms(
        logits, terms, {"penalty": step.warm(step.options(RightReasonsOptions).weight)}
    )


def right_reasons() -> Method:
    """Return the method."""
    return Method(build_plain, losses, options=RightReasonsOptions)
