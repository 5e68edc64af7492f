"""Means over an epoch, and the watch for NaN: `Meter`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from reff_bench.results.progress import RunError

LOOK_EVERY = 10  # steps between two looks at the losses: each look waits for a GPU

_Noted: TypeAlias = tuple[int, int, dict[str, Tensor | float]]


@dataclass(slots=True)
class Meter:
    """Adds up what the steps of an epoch say, weighted by their images.

    Attributes:
        sums: by name.
        images: added so far.
    """

    sums: dict[str, float] = field(default_factory=dict)
    images: int = 0
    _waiting: list[_Noted] = field(default_factory=list)

    def add(
        self,
        step: int,
        images: int,
        losses: Mapping[str, Tensor],
        log: Mapping[str, Tensor | float],
    ) -> None:
        """Take note of a step, counted from 1; nothing is computed yet."""
        kept = {
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in {**losses, **log}.items()
        }
        self._waiting.append((step, images, kept))

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        return len(self._waiting) >= LOOK_EVERY

    def look(self, epoch: int) -> None:
        """Add up what was noted, step by step: the sums don't depend on when.

        Raises:
            RunError: something is infinite or not a number.
        """
        for step, images, values in _read(self._waiting):
            if not all(math.isfinite(value) for value in values.values()):
                said = ", ".join(f"{name} {value:g}" for name, value in values.items())
                raise RunError(
                    f"a loss became infinite or not a number in epoch {epoch}, step "
                    f"{step} ({said}); try a smaller lr or weight"
                )
            self.images += images
            for name, value in values.items():
                self.sums[name] = self.sums.get(name, 0.0) + images * value
        self._waiting.clear()

    def means(self) -> dict[str, float]:
        """Return the mean of everything since the epoch began."""
        return {name: total / self.images for name, total in self.sums.items()}


def _read(waiting: Sequence[_Noted]) -> Iterator[tuple[int, int, dict[str, float]]]:
    """Yield what was noted as numbers, after one copy from each device and type."""
    kinds: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for _, _, noted in waiting:
        for value in noted.values():
            if isinstance(value, Tensor):
                scalars = kinds.setdefault((value.device, value.dtype), [])
                scalars.append(value.reshape(()))
    read = {kind: iter(torch.stack(found).tolist()) for kind, found in kinds.items()}
    for step, images, noted in waiting:
        values = {
            name: float(
                next(read[value.device, value.dtype])
                if isinstance(value, Tensor)
                else value
            )
            for name, value in noted.items()
        }
        yield step, images, values
