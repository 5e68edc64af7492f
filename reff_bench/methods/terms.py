"""The losses of the methods."""

from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reff_bench.explain import grad_cam
from reff_bench.grid import Cell
from reff_bench.losses import (
    Pooling,
    attention_penalty,
    difference_penalty,
    outside_penalty,
    relevant_share,
    zero_map_share,
)
from reff_bench.methods.method import Step, Terms
from reff_bench.methods.swap import swap_backgrounds
from reff_bench.models import AttentionBranchNetwork, Output, build_backbone
from reff_bench.second_order import FastSecondOrder

Value = TypeVar("Value")


def build_plain(cell: Cell, num_classes: int, seed: int) -> nn.Module:
    """Build the cell's backbone."""
    return build_backbone(cell.backbone, num_classes, weights=cell.weights, seed=seed)


def build_attention(cell: Cell, num_classes: int, seed: int) -> nn.Module:
    """Build an Attention Branch Network on the cell's backbone."""
    return AttentionBranchNetwork(
        cell.backbone,
        num_classes,
        map_kernel=needed(cell.map_kernel),
        multiplicative_only=needed(cell.multiplicative_only),
        weights=cell.weights,
        seed=seed,
    )


def classify(step: Step) -> Terms:
    """Baseline: cross-entropy alone."""
    logits = step.forward(step.batch.image).logits
    return Terms(logits, {"cross_entropy": cross_entropy(logits, step.batch.label)})


def focus(step: Step) -> Terms:
    """ReFF: cross-entropy and what the maps show outside the mask (Eq. 3).

    With |.| in place of Eq. 2's ReLU and the margin as score it is `reff_plus`, ours.
    """
    cell = step.cell
    output, maps = explain(step)
    penalty = outside_penalty(
        maps,
        step.batch.mask,
        normalization=needed(cell.normalization),
        norm=needed(cell.norm),
        pooling=needed(cell.pooling),
    )
    return _with_penalty(step, output, maps, penalty)


def resemble_l1(step: Step) -> Terms:
    """ReFF (L1): cross-entropy and the L1 distance of maps and mask."""
    return _resemble(step, 1)


def resemble_l2(step: Step) -> Terms:
    """ReFF (L2): cross-entropy and the L2 distance of maps and mask."""
    return _resemble(step, 2)


def attend(step: Step) -> Terms:
    """ABN: cross-entropy of both branches and the map's distance from the mask."""
    output, terms = attend_plain(step)
    cell, mask = step.cell, step.batch.mask
    attention = needed(output.attention).float()
    size = (attention.shape[2], attention.shape[3])
    pooling: Pooling = needed(cell.pooling)
    penalty = attention_penalty(attention, mask, pooling=pooling)
    weight = step.warm(needed(cell.weight))
    return Terms(
        terms.logits,
        {**terms.losses, "map": penalty},
        {"map": weight},
        {"relevant_attention": relevant_share(mask, [size], pooling)[0]},
    )


def attend_without_map(step: Step) -> Terms:
    """ABN without map loss: cross-entropy of both branches."""
    return attend_plain(step)[1]


def attend_plain(step: Step) -> tuple[Output, Terms]:
    """Return an ABN's output and the cross-entropy of both its branches."""
    output, label = step.forward(step.batch.image), step.batch.label
    branch = needed(output.attention_logits)
    losses = {
        "cross_entropy": cross_entropy(output.logits, label),
        "attention_cross_entropy": cross_entropy(branch, label),
    }
    return output, Terms(output.logits, losses)


def swap(step: Step) -> Terms:
    """Background swap: cross-entropy on images over each other's backgrounds."""
    batch = step.batch
    probability = needed(step.cell.swap_probability)
    image, share = swap_backgrounds(
        batch.image, batch.mask, probability, step.generator
    )
    logits = step.forward(image).logits
    losses = {"cross_entropy": cross_entropy(logits, batch.label)}
    return Terms(logits, losses, log={"swapped": share})


def explain(step: Step) -> tuple[Output, list[Tensor]]:
    """Return the output and one map per layer, (N, h, w), with their graph.

    The maps are of the pass that is classified, or, with `cam_bn: eval`, of a second
    one with BatchNorm's running statistics, which doesn't couple the images of a
    batch. In mixed precision the gradients come in the type of that pass; the maps are
    summed in float32 and handed on in `cam_precision`.
    """
    cell = step.cell
    with FastSecondOrder():
        output = step.forward(step.batch.image)
        explained = output
        if cell.cam_bn == "eval":
            explained = _forward_with_running_statistics(step)
    predicted = cell.target == "predicted"
    maps = grad_cam(
        explained.logits,
        explained.logits.argmax(1) if predicted else step.batch.label,
        [explained.stages[layer] for layer in needed(cell.layers)],
        create_graph=True,
        relu=cell.sign == "relu",
        score=needed(cell.score),
        detach_weights=needed(cell.detach_weights),
    )
    if cell.sign == "abs":
        maps = [one.abs() for one in maps]
    if cell.cam_precision == "bfloat16":
        maps = [one.to(torch.bfloat16) for one in maps]
    return output, maps


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross-entropy, in float32."""
    return F.cross_entropy(logits.float(), label)


def needed(value: Value | None) -> Value:
    """Return an option that the grid fills in for this method."""
    assert value is not None, "an option of this method is missing in its cell"
    return value


def _resemble(step: Step, p: Literal[1, 2]) -> Terms:
    output, maps = explain(step)
    penalty = difference_penalty(
        maps,
        step.batch.mask,
        p=p,
        normalization=needed(step.cell.normalization),
        pooling=needed(step.cell.pooling),
    )
    return _with_penalty(step, output, maps, penalty)


def _with_penalty(
    step: Step, output: Output, maps: list[Tensor], penalty: Tensor
) -> Terms:
    cell, batch = step.cell, step.batch
    layers = needed(cell.layers)
    pooling: Pooling = needed(cell.pooling)
    sizes = [(one.shape[1], one.shape[2]) for one in maps]
    empty = zip(layers, zero_map_share(maps), strict=True)
    share = zip(layers, relevant_share(batch.mask, sizes, pooling), strict=True)
    return Terms(
        output.logits,
        {
            "cross_entropy": cross_entropy(output.logits, batch.label),
            "penalty": penalty.float(),
        },
        {"penalty": step.warm(needed(cell.weight))},
        {
            **{f"zero_maps_{layer}": value for layer, value in empty},
            **{f"relevant_{layer}": value for layer, value in share},
        },
    )


def _forward_with_running_statistics(step: Step) -> Output:
    """Forward with each image by itself: no norm layer looks at the batch.

    Norms that keep running statistics use them (all kinds of BatchNorm do); the others
    (LayerNorm, GroupNorm) never look beyond one image.
    """
    norms = [
        one
        for one in step.model.modules()
        if one.training and getattr(one, "running_var", None) is not None
    ]
    for one in norms:
        one.eval()
    output = step.forward(step.batch.image)
    for one in norms:
        one.train()
    return output
