"""What a metric of the user's own is computed from: `Predictions`."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's answers on the test split, on the CPU.

    Attributes:
        logits: (n, K) float32.
        labels: (n,) int64 in [0, K).
        groups: (n,) int64 in [0, G).
        class_names: K names by label.
        group_names: G names by group.
    """

    logits: Tensor
    labels: Tensor
    groups: Tensor
    class_names: tuple[str, ...]
    group_names: tuple[str, ...]
