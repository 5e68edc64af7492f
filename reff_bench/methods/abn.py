"""ABN (Fukui et al. 2019), with and without a loss on its attention map."""

from torch import Tensor, nn

from reff_bench.catalog.options import AbnOptions, AbnPlainOptions
from reff_bench.grid.config import RunConfig
from reff_bench.losses import attention_penalty, relevant_share
from reff_bench.methods.baseline import cross_entropy
from reff_bench.methods.method import (
    Method,
    MethodError,
    StepContext,
    Terms,
    read_options,
)
from reff_bench.models.attention_branch import AttentionBranchNetwork


def abn() -> Method:
    """Return ABN."""
    return Method(build_attention, abn_terms)


def abn_plain() -> Method:
    """Return ABN without a map loss."""
    return Method(build_attention, abn_plain_terms)


def build_attention(config: RunConfig, num_classes: int, seed: int) -> nn.Module:
    """Build an Attention Branch Network on the run's backbone."""
    options = read_options(config, AbnPlainOptions)
    return AttentionBranchNetwork(
        config.backbone,
        num_classes,
        map_kernel=options.map_kernel,
        multiplicative_only=options.multiplicative_only,
        weights=config.weights,
        seed=seed,
    )


def abn_terms(step: StepContext) -> Terms:
    """Return cross-entropy of both branches and the map's distance from the mask."""
    options, mask = step.options(AbnOptions), step.batch.mask
    attention, terms = _both_branches(step)
    size = (attention.shape[2], attention.shape[3])
    penalty = attention_penalty(attention, mask, pooling=options.pooling)
    return Terms(
        terms.logits,
        {**terms.losses, "map": penalty},
        {"map": step.warm(options.weight)},
        {"relevant_attention": relevant_share(mask, [size], options.pooling)[0]},
    )


def abn_plain_terms(step: StepContext) -> Terms:
    """Return the cross-entropy of both branches."""
    return _both_branches(step)[1]


def _both_branches(step: StepContext) -> tuple[Tensor, Terms]:
    """Return the attention map, (N, 1, h, w) float32, and both cross-entropies."""
    output, label = step.forward(step.batch.image), step.batch.label
    if output.attention is None or output.attention_logits is None:
        raise MethodError(
            f"{step.config.method} needs a model with an attention branch"
        )
    losses = {
        "cross_entropy": cross_entropy(output.logits, label),
        "attention_cross_entropy": cross_entropy(output.attention_logits, label),
    }
    return output.attention.float(), Terms(output.logits, losses)
