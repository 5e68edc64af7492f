"""What a metric of the user's own is computed from: `Predictions`."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's answers on the test split, on the CPU.

    Examples:
        >>> import torch
        >>> from reff_bench import Predictions
        >>> names = ("landbird", "waterbird")
        >>> labels = torch.tensor([0, 0])
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> given = Predictions(logits, labels, labels, names, names)
        >>> (given.logits.argmax(1) == given.labels).float()  # a metric, (n,)
        tensor([1., 0.])

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
