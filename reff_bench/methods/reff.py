"""ReFF, ReFF (L1) and ReFF (L2): penalties on Grad-CAMs; ReFF+ has other options."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from reff_bench.catalog.options import (
    DifferenceOptions,
    EnergyOptions,
    ReffOptions,
    RrrGOptions,
)
from reff_bench.explain import grad_cam
from reff_bench.losses import (
    difference_penalty,
    outside_penalty,
    relevant_share,
    zero_map_share,
)
from reff_bench.methods.baseline import build_plain, cross_entropy
from reff_bench.methods.method import Method, StepContext, Terms
from reff_bench.models.output import Output
from reff_bench.second_order import FastSecondOrder

CamOptions: TypeAlias = ReffOptions | DifferenceOptions


def reff() -> Method:
    """Return ReFF; with |.| in place of Eq. 2's ReLU and the margin as score, ReFF+."""
    return Method(build_plain, reff_terms, second_order=True)


def reff_l1() -> Method:
    """Return ReFF (L1)."""
    return Method(build_plain, reff_l1_terms, second_order=True)


def reff_l2() -> Method:
    """Return ReFF (L2)."""
    return Method(build_plain, reff_l2_terms, second_order=True)


def reff_terms(step: StepContext) -> Terms:
    """Return cross-entropy and what the maps show outside the mask (Eq. 3)."""
    options = step.options(ReffOptions)
    output, maps = explain(step, options)
    penalty = outside_penalty(
        maps,
        step.batch.mask,
        normalization=options.normalization,
        norm=options.norm,
        pooling=options.pooling,
    )
    return with_penalty(step, options, output, maps, penalty)


def reff_l1_terms(step: StepContext) -> Terms:
    """Return cross-entropy and the L1 distance of maps and mask."""
    return _difference_terms(step, 1)


def reff_l2_terms(step: StepContext) -> Terms:
    """Return cross-entropy and the L2 distance of maps and mask."""
    return _difference_terms(step, 2)


def explain(step: StepContext, options: CamOptions) -> tuple[Output, list[Tensor]]:
    """Return the output and one map per layer, (N, h, w), with their graph.

    The maps are of the pass that is classified, or, with `cam_bn: eval`, of a second
    one with BatchNorm's running statistics, which doesn't couple the images of a
    batch. In mixed precision the gradients come in the type of that pass; the maps are
    summed in float32 and handed on in `cam_precision`.
    """
    with FastSecondOrder():
        output = step.forward(step.batch.image)
        explained = output
        if options.cam_bn == "eval":
            with step.running_statistics():
                explained = step.forward(step.batch.image)
    predicted = options.target == "predicted"
    maps = grad_cam(
        explained.logits,
        explained.logits.argmax(1) if predicted else step.batch.label,
        [explained.stages[layer] for layer in options.layers],
        create_graph=True,
        relu=options.sign == "relu",
        score=options.score,
        detach_weights=options.detach_weights,
    )
    if options.sign == "abs":
        maps = [one.abs() for one in maps]
    if options.cam_precision == "bfloat16":
        maps = [one.to(torch.bfloat16) for one in maps]
    return output, maps


def _difference_terms(step: StepContext, p: Literal[1, 2]) -> Terms:
    options = step.options(DifferenceOptions)
    output, maps = explain(step, options)
    penalty = difference_penalty(
        maps,
        step.batch.mask,
        p=p,
        normalization=options.normalization,
        pooling=options.pooling,
    )
    return with_penalty(step, options, output, maps, penalty)


def with_penalty(
    step: StepContext,
    options: CamOptions | RrrGOptions | EnergyOptions,
    output: Output,
    maps: list[Tensor],
    penalty: Tensor,
) -> Terms:
    """Return cross-entropy and a penalty on maps, one for each layer."""
    batch, layers = step.batch, options.layers
    sizes = [(one.shape[1], one.shape[2]) for one in maps]
    empty = zip(layers, zero_map_share(maps), strict=True)
    share = zip(layers, relevant_share(batch.mask, sizes, options.pooling), strict=True)
    return Terms(
        output.logits,
        {
            "cross_entropy": cross_entropy(output.logits, batch.label),
            "penalty": penalty.float(),
        },
        {"penalty": step.warm(options.weight)},
        {
            **{f"zero_maps_{layer}": value for layer, value in empty},
            **{f"relevant_{layer}": value for layer, value in share},
        },
    )
