"""What a method is: `Method`, and what it gives in a step: `Terms`."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from reff_bench.grid import Cell
from reff_bench.models import Output

if TYPE_CHECKING:
    from reff_bench.data import Batch


class MethodError(ValueError):
    """A method that can't be used: says which and what is expected."""


@dataclass(frozen=True, slots=True)
class Step:
    """One training step, as a method sees it.

    Attributes:
        model: in training mode.
        batch: of the training split.
        cell: the method's options are its fields.
        progress: share of all steps that are done, in [0, 1); a scalar tensor where
            the step is traced, to hold for other steps as well.
        generator: of the step's own randomness, on the CPU; the same whatever ran
            before.
        autocast: the type of mixed precision, or None.
    """

    model: nn.Module
    batch: "Batch"
    cell: Cell
    progress: float | Tensor
    generator: torch.Generator
    autocast: torch.dtype | None = None

    def forward(self, image: Tensor) -> Output:
        """Run the model on (N, 3, S, S) images, in mixed precision if it is on."""
        context = (
            nullcontext()
            if self.autocast is None
            else torch.autocast(image.device.type, dtype=self.autocast)
        )
        with context:
            output: Output = self.model(image)
        return output

    def warm(self, weight: float) -> float | Tensor:
        """Return a weight as far as it has risen: linearly, over `cell.warmup`."""
        if not self.cell.warmup:
            return weight
        risen = self.progress / self.cell.warmup
        if isinstance(risen, Tensor):
            return weight * risen.clamp(max=1.0)
        return weight * min(1.0, risen)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a method wants minimised in a step.

    Attributes:
        logits: (N, K), the prediction.
        losses: scalars with their graph, by name, not weighted.
        weights: of `losses`; 1 where none is given.
        log: further numbers to average over an epoch; what is computed on the device
            stays a scalar tensor there, since a float would make the step wait for it.
    """

    logits: Tensor
    losses: Mapping[str, Tensor]
    weights: Mapping[str, float | Tensor] = field(default_factory=dict)
    log: Mapping[str, Tensor | float] = field(default_factory=dict)

    def total(self) -> Tensor:
        """Return the weighted sum of the losses."""
        weighted = [
            self.weights.get(name, 1.0) * loss for name, loss in self.losses.items()
        ]
        return torch.stack(weighted).sum()


@dataclass(frozen=True, slots=True)
class Method:
    """How a classifier is built and trained.

    Attributes:
        build: cell, number of classes, seed of the first weights -> model, whose
            output is a `reff_bench.models.Output`.
        terms: the losses of a step.
        second_order: whether they hold gradients of the model, as maps do. Then
            `torch.compile` needs the whole step, which must draw nothing at random.
    """

    build: Callable[[Cell, int, int], nn.Module]
    terms: Callable[[Step], Terms]
    second_order: bool = False
