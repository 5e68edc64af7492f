"""Training groups: batches of equal group shares, and GroupDRO on top of them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reff_bench.catalog.options import Balancing, GroupBalancedOptions, GroupDroOptions
from reff_bench.grid.config import RunConfig, derive_seed
from reff_bench.methods.baseline import baseline_terms, build_plain
from reff_bench.methods.method import (
    Method,
    MethodError,
    StepContext,
    Terms,
    TrainingImages,
    read_options,
)


def group_balanced() -> Method:
    """Return Baseline on batches in which every group is as frequent.

    "ReSample" draws the images of small groups more often; "SUBG" (Idrissi et al. 2022)
    cuts every group down to the smallest. Both here draw an epoch of the usual length
    with replacement [assumed], so that a run has Baseline's steps; public versions of
    SUBG have shorter epochs.
    """
    return Method(
        build_plain,
        baseline_terms,
        options=GroupBalancedOptions,
        supervision="training groups",
        sampling=_sample_balanced,
    )


def group_dro() -> Method:
    """Return GroupDRO (Sagawa et al. 2020)."""
    return Method(
        build_plain,
        group_dro_terms,
        options=GroupDroOptions,
        supervision="training groups",
        state=_build_weights,
        sampling=_sample_for_dro,
    )


class GroupWeights(nn.Module):
    """GroupDRO's weights of the groups: even at first over those that have an image.

    Attributes:
        weights: (G,) float32 >= 0, of sum 1.
    """

    weights: Tensor

    def __init__(self, images: TrainingImages) -> None:
        """Begin even."""
        super().__init__()
        present = torch.bincount(images.groups, minlength=images.num_groups) > 0
        self.register_buffer("weights", present.float() / present.sum())


def group_dro_terms(step: StepContext) -> Terms:
    """Return the groups' cross-entropies, those that are large weighing more.

    Sagawa et al. 2020 (arXiv:1911.08731), Algorithm 1: with l_g the mean cross-entropy
    of the batch's images of group g, 0 where there is none,

        q_g <- q_g exp(eta l_g) / Z,     L = sum_g q_g l_g

    the weights first, then the loss with the new ones, as the authors' code and WILDS
    do it [other]. eta is `group_step`. The log's `cross_entropy_mean` is the plain
    mean.
    """
    options, batch = step.options(GroupDroOptions), step.batch
    state = step.state
    assert isinstance(state, GroupWeights), "the method's own"
    logits = step.forward(batch.image).logits
    losses = F.cross_entropy(logits.float(), batch.label, reduction="none")
    means = group_means(losses, batch.group, len(state.weights))
    with torch.no_grad():
        # By logarithms, since exp(eta l) of one large loss is infinite in float32.
        risen = state.weights.log() + options.group_step * means
        state.weights.copy_(risen.softmax(0))
    log = {
        "cross_entropy_mean": losses.detach().mean(),
        "largest_group_weight": state.weights.max(),
    }
    return Terms(logits, {"cross_entropy": state.weights.clone() @ means}, log=log)


def group_means(values: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """Return the mean of each group's values, 0 for a group without one, (G,) float.

    Args:
        values: (N,) float.
        groups: (N,) int64 in [0, G).
        num_groups: G.
    """
    nothing = values.new_zeros(num_groups)
    counts = nothing.index_add(0, groups, torch.ones_like(values))
    return nothing.index_add(0, groups, values) / counts.clamp_min(1)


def balancing_weights(
    groups: Tensor, balance: Balancing, generator: torch.Generator
) -> Tensor:
    """Return with what weight each image is drawn, so that groups are drawn evenly.

    Args:
        groups: (n,) int64.
        balance: "resample": all images, 1 over the size of their group; "subsample":
            1 for as many of each group as the smallest has, 0 for the others.
        generator: chooses these.

    Returns:
        (n,) float64.
    """
    _, place, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
    if balance == "resample":
        even: Tensor = sizes[place].double().reciprocal()
        return even
    weights = torch.zeros(len(groups), dtype=torch.float64)
    for number in range(len(sizes)):
        rows = torch.nonzero(place == number).flatten()
        order = torch.randperm(len(rows), generator=generator)
        weights[rows[order[: int(sizes.min())]]] = 1
    return weights


def check_groups(method: str, images: TrainingImages, split: str) -> int:
    """Refuse data in which the groups of no class tell anything; count absent groups.

    Args:
        method: its name.
        images: of the split whose groups the method uses.
        split: its name.

    Raises:
        MethodError: each class is one group there, or a class has no image.
    """
    pairs = torch.unique(torch.stack([images.labels, images.groups]), dim=1)
    classes = len(torch.unique(images.labels))
    if classes < images.num_classes:
        raise MethodError(
            f"{method}: {images.num_classes - classes} of {images.num_classes} classes "
            f"have no image in the split {split}; give more images"
        )
    if pairs.shape[1] == classes:
        raise MethodError(
            f"{method} needs groups, and in the split {split} every class is a single "
            "one: there is no counter-example to learn from; give data with groups (a "
            "Textured MNIST with bg above 0), or leave the method out"
        )
    return images.num_groups - len(torch.unique(images.groups))


def _build_weights(
    config: RunConfig, images: TrainingImages, seed: int
) -> GroupWeights:
    return GroupWeights(images)


def _sample_balanced(
    config: RunConfig, images: TrainingImages, state: nn.Module
) -> Tensor:
    options = read_options(config, GroupBalancedOptions)
    generator = torch.Generator().manual_seed(derive_seed(config.seed, "method"))
    return balancing_weights(images.groups, options.balance, generator)


def _sample_for_dro(
    config: RunConfig, images: TrainingImages, state: nn.Module
) -> Tensor | None:
    if not read_options(config, GroupDroOptions).balanced_batches:
        return None
    return balancing_weights(images.groups, "resample", torch.Generator())
