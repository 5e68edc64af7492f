"""Grad-CAM of several layers at once, differentiable; pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Score = Literal["logit", "margin", "log_probability"]


def class_score(logits: Tensor, target: Tensor, kind: Score = "logit") -> Tensor:
    """The score y^c that an explanation explains.

    "logit" is the class's logit y^c [assumed: the paper's words leave it open].
    "margin" is the logit less the mean of the others', and "log_probability" the log
    of its softmax; both also see evidence *against* the other classes. They are ours,
    not the paper's.

    Args:
        logits: (N, K) float.
        target: (N,) int64 in [0, K), the class c of every image.
        kind: One of `SCORES`.

    Returns:
        (N,) float.

    Raises:
        ValueError: If the kind is unknown, or a margin is asked of a single class.
    """
    if kind not in SCORES:
        raise ValueError(f"score is {kind!r}; allowed: {', '.join(SCORES)}")
    return SCORES[kind](logits, target)


def grad_cam(
    logits: Tensor,
    target: Tensor,
    activations: Sequence[Tensor],
    *,
    create_graph: bool = False,
    relu: bool = True,
    score: Score = "logit",
    detach_weights: bool = False,
) -> list[Tensor]:
    """Grad-CAMs of every layer, from one gradient call (Selvaraju et al. 2017).

    Adachi & Yamaguchi 2022, Eq. 1 and 2, in the form that we assume [assumed]:

        alpha_k^l = 1/(H_l W_l) sum_ij d y^c / d A^l_kij        (1)
        G^l       = ReLU( sum_k alpha_k^l A^l_k )               (2)

    with A^l = `activations[l]`, y^c = `class_score(logits, target, score)` and
    G^l = the l-th map. One call gives what a call per layer would, and costs less.
    The maps are neither normalized nor resized. BatchNorm in training mode couples the
    images of a batch, so the gradient of the summed score then mixes them.

    The graph behind `logits` is kept, so that a loss can still go backward.

    Examples:
        >>> import torch
        >>> from reff_bench import build_backbone, grad_cam
        >>> network = build_backbone("resnet_small", 10, seed=0)
        >>> output = network(torch.zeros(2, 3, 32, 32))
        >>> stages = [output.stages["stage3"], output.stages["stage4"]]
        >>> maps = grad_cam(output.logits, torch.tensor([3, 8]), stages)
        >>> [one.shape for one in maps]
        [torch.Size([2, 8, 8]), torch.Size([2, 8, 8])]

    Args:
        logits: (N, K) float, with its graph.
        target: (N,) int64 in [0, K), the class to explain.
        activations: (N, C_l, H_l, W_l) float each, inputs of the graph of `logits`.
        create_graph: Keep the maps' graph: a penalty on them can then be trained.
        relu: Apply the ReLU of Eq. 2; without it, maps have a sign.
        score: What is differentiated, see `class_score`.
        detach_weights: With `create_graph`, take alpha as a constant: the maps' graph
            is then of first order and cheap.

    Returns:
        One map per layer, (N, H_l, W_l), at least float32, >= 0 if `relu`.

    Raises:
        ValueError: If the logits have no graph, or something is float16, whose range
            is too small for these gradients.
    """
    _check(logits, activations)
    gradients = torch.autograd.grad(
        class_score(logits, target, score).sum(),
        list(activations),
        create_graph=create_graph and not detach_weights,
        retain_graph=True,
    )
    kept = activations if create_graph else [one.detach() for one in activations]
    maps = [_weigh(a, g) for a, g in zip(kept, gradients, strict=True)]
    return [F.relu(one) for one in maps] if relu else maps


def _logit(logits: Tensor, target: Tensor) -> Tensor:
    return logits.gather(1, target[:, None]).squeeze(1)


def _margin(logits: Tensor, target: Tensor) -> Tensor:
    K = logits.shape[1]
    if K < 2:
        raise ValueError(f"score 'margin' needs 2 classes or more, {K} given")
    own = _logit(logits, target)
    return own - (logits.sum(1) - own) / (K - 1)


def _log_probability(logits: Tensor, target: Tensor) -> Tensor:
    return _logit(F.log_softmax(logits, 1), target)


SCORES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "logit": _logit,
    "margin": _margin,
    "log_probability": _log_probability,
}


def _check(logits: Tensor, activations: Sequence[Tensor]) -> None:
    if not logits.requires_grad:
        raise ValueError(
            "the logits have no graph; run the model with gradients enabled, "
            "outside torch.no_grad() and torch.inference_mode()"
        )
    if torch.float16 in {logits.dtype, *(one.dtype for one in activations)}:
        raise ValueError(
            "Grad-CAM in float16 would overflow; run the model in bfloat16 or float32"
        )


def _weigh(activation: Tensor, gradient: Tensor) -> Tensor:
    """Sum_k alpha_k A_k (Eq. 1 and the inside of Eq. 2), (N, H, W)."""
    dtype = torch.promote_types(activation.dtype, torch.float32)
    alpha = gradient.mean((2, 3), keepdim=True, dtype=dtype)
    return (alpha * activation).sum(1)
