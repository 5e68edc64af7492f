"""A model's answers and its accuracies, by sample, class and group; pure."""

from dataclasses import dataclass

import torch
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


@dataclass(frozen=True, slots=True)
class Accuracies:
    """How often a classifier is right, in each of the senses that the field uses.

    Attributes:
        sample: share of all samples.
        by_class: share of each class's samples; None for a class without any.
        by_group: share of each group's samples; None for a group without any.
    """

    sample: float
    by_class: tuple[float | None, ...]
    by_group: tuple[float | None, ...]

    @property
    def balanced(self) -> float:
        """Mean over the classes that have samples."""
        return _mean(self.by_class)

    @property
    def group_mean(self) -> float:
        """Mean over the groups that have samples."""
        return _mean(self.by_group)

    @property
    def worst_group(self) -> float:
        """Least over the groups that have samples."""
        return min(share for share in self.by_group if share is not None)


def accuracies(
    predicted: Tensor, labels: Tensor, groups: Tensor, classes: int, num_groups: int
) -> Accuracies:
    """Compare predictions, labels and groups, (N,) int64 each, N of 1 or more.

    Predictions and labels are in [0, classes), groups in [0, num_groups).

    Raises:
        ValueError: the three differ in length, or are empty.
    """
    if not len(predicted) == len(labels) == len(groups) > 0:
        raise ValueError(
            f"{len(predicted)} predictions, {len(labels)} labels and {len(groups)} "
            "groups; give equally many, 1 or more"
        )
    right = (predicted == labels).double()
    return Accuracies(
        float(right.mean()),
        _shares(right, labels, classes),
        _shares(right, groups, num_groups),
    )


def _shares(right: Tensor, numbers: Tensor, count: int) -> tuple[float | None, ...]:
    """Return the mean of `right` for every number below `count`."""
    sizes = torch.bincount(numbers, minlength=count).tolist()
    hits = torch.bincount(numbers, weights=right, minlength=count).tolist()
    return tuple(
        hit / size if size else None for hit, size in zip(hits, sizes, strict=True)
    )


def _mean(shares: tuple[float | None, ...]) -> float:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known)
