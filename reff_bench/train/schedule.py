"""What is drawn for an epoch: a function of the run's seed and the epoch alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from reff_bench.grid.config import RunConfig, derive_seed


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """One pass over the training images.

    Attributes:
        batches: (n,) int64 indices of each batch.
        flipped: (images,) bool, those that are mirrored, or None.
    """

    batches: tuple[Tensor, ...]
    flipped: Tensor | None


def plan_epoch(
    config: RunConfig, images: int, epoch: int, weights: Tensor | None = None
) -> EpochPlan:
    """Return the order of an epoch's images; methods of one seed share it.

    A last batch of one image joins the batch before: BatchNorm can't do with one.
    Epochs count from 0; with weights, (images,), as many are drawn with replacement.
    """
    random = generator(config, "order", epoch)
    if weights is None:
        order = torch.randperm(images, generator=random)
    else:
        order = torch.multinomial(weights, images, replacement=True, generator=random)
    batches = list(torch.split(order, config.batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    flipped = None
    if config.flips:
        draws = torch.rand(images, generator=generator(config, "augment", epoch))
        flipped = draws < 0.5
    return EpochPlan(tuple(batches), flipped)


def steps_per_epoch(config: RunConfig, images: int) -> int:
    """Return the number of batches of an epoch."""
    count = -(-images // config.batch_size)
    last = images - (count - 1) * config.batch_size
    return count - 1 if count > 1 and last == 1 else count


def generator(config: RunConfig, purpose: str, *numbers: int) -> torch.Generator:
    """Return the randomness of one purpose at one place, such as an epoch and a step.

    Nothing needs to be stored to go on in the middle: each place has its own.
    """
    seed = derive_seed(config.seed, purpose)
    for number in numbers:
        seed = derive_seed(seed + number, purpose)
    return torch.Generator().manual_seed(seed)
