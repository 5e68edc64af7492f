"""LfF, "learning from failure" (Nam et al. 2020): two networks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reff_bench.catalog.options import LffOptions
from reff_bench.grid.config import RunConfig
from reff_bench.methods.baseline import build_plain
from reff_bench.methods.method import Method, StepContext, Terms, TrainingImages

SMALLEST_LOSS = 1e-8


def lff() -> Method:
    """Return the method: two networks are trained, and one is deployed."""
    return Method(
        build_plain,
        lff_terms,
        options=LffOptions,
        supervision="none",
        state=_build_biased,
    )


class BiasedNet(nn.Module):
    """The second network, and both networks' running losses of each training image.

    Args:
        network: as the first one, with other first weights.
        images: of the training.

    Attributes:
        network: the biased network.
        biased: (n,) float32, its running losses.
        debiased: (n,) float32, those of the network that is deployed.
        labels: (n,) int64.
        num_classes: K.
    """

    biased: Tensor
    debiased: Tensor
    labels: Tensor

    def __init__(self, network: nn.Module, images: TrainingImages) -> None:
        """Begin with losses of 0."""
        super().__init__()
        self.network, self.num_classes = network, images.num_classes
        self.register_buffer("biased", torch.zeros(len(images.labels)))
        self.register_buffer("debiased", torch.zeros(len(images.labels)))
        self.register_buffer("labels", images.labels.clone(), persistent=False)


def lff_terms(step: StepContext) -> Terms:
    """Return both networks' losses.

    Nam et al. 2020 (arXiv:2007.02561), Algorithm 1. The biased network learns from what
    is easy, by the generalized cross-entropy (`generalized_cross_entropy`); the other
    one by cross-entropy with the weights

        W(x) = l_b / (l_b + l_d)

    with l_b and l_d the running means of the cross-entropies of an image
    (`loss_memory`, from 0), each over the largest of its class: the authors' code
    [other]; the paper has the losses of the step alone.
    """
    options, batch, state = step.options(LffOptions), step.batch, step.state
    assert isinstance(state, BiasedNet), "the method's own"
    logits = step.forward(batch.image).logits
    biased = step.forward(batch.image, state.network).logits
    losses = F.cross_entropy(logits.float(), batch.label, reduction="none")
    with torch.no_grad():
        others = F.cross_entropy(biased.float(), batch.label, reduction="none")
        for running, new in ((state.debiased, losses), (state.biased, others)):
            old = running[batch.index] * options.loss_memory
            mixed = old + (1 - options.loss_memory) * new
            running.index_copy_(0, batch.index, mixed)
        weight = difficulty(state, batch.index)
    return Terms(
        logits,
        {
            "cross_entropy": (weight * losses).mean(),
            "biased": generalized_cross_entropy(biased, batch.label, options.gce_q),
        },
        log={"weight_of_images": weight.mean()},
    )


def difficulty(state: BiasedNet, index: Tensor) -> Tensor:
    """Return W of some training images, (N,) float32 in [0, 1].

    Args:
        state: with the running losses.
        index: (N,) int64.
    """
    shares = []
    for running in (state.biased, state.debiased):
        nothing = running.new_zeros(state.num_classes)
        largest = nothing.scatter_reduce(0, state.labels, running, "amax")
        shares.append(
            running[index] / largest[state.labels[index]].clamp_min(SMALLEST_LOSS)
        )
    biased, debiased = shares
    return biased / (biased + debiased).clamp_min(SMALLEST_LOSS)


def generalized_cross_entropy(logits: Tensor, label: Tensor, q: float) -> Tensor:
    """Return mean (1 - p_label^q) / q (Zhang and Sabuncu 2018), a scalar.

    Its gradient is that of cross-entropy times p^q: what is easy counts. The authors'
    code of LfF has another factor of q [other].

    Args:
        logits: (N, K) float.
        label: (N,) int64.
        q: in (0, 1]; towards 0 it is cross-entropy.
    """
    log_p = -F.cross_entropy(logits.float(), label, reduction="none")
    return ((1 - torch.exp(q * log_p)) / q).mean()


def _build_biased(config: RunConfig, images: TrainingImages, seed: int) -> BiasedNet:
    return BiasedNet(build_plain(config, images.num_classes, seed), images)
