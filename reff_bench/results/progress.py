"""What a run says while it is under way."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class RunError(RuntimeError):
    """A run that can't go on, such as a loss that is NaN; its text is the reason."""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is; a run hands these to its `report`, several a second at most.

    Attributes:
        stage: what is being done: `data`, `annotator`, `training`, `evaluation`.
        fraction: share of the whole run that is done, in [0, 1].
        epoch: the current one, from 1; 0 outside training.
        losses: mean of each loss term over the epoch so far, by name.
        images_per_second: of the training, where known.
    """

    stage: str
    fraction: float
    epoch: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float | None = None
