"""What a sample's target can be, and what transforms it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.datasets import VisionDataset
from torchvision.datasets.vision import StandardTransform
from torchvision.tv_tensors import Mask

from texturedmnist.dataset.samples import Columns, check_choice

Transform = Callable[..., Any]

TARGET_TYPES = (
    "label",
    "mask",
    "digit_texture",
    "background_texture",
    "digit_aligned",
    "background_aligned",
    "group",
    "index",
)
# As torchvision's MNIST names them.
WORDS = "zero one two three four five six seven eight nine"
CLASSES = [f"{digit} - {word}" for digit, word in enumerate(WORDS.split())]


def check_target_types(target_types: str | Sequence[str]) -> list[str]:
    """Return the names of the targets that are wanted.

    Raises:
        ValueError: an unknown target type.
    """
    wanted = [target_types] if isinstance(target_types, str) else [*target_types]
    return [check_choice("target type", name, TARGET_TYPES) for name in wanted]


def make_targets(
    target_types: Sequence[str],
    masks: NDArray[np.uint8],
    columns: Columns,
    labels: NDArray[np.int64],
) -> list[Any]:
    """Make the targets of a batch.

    Args:
        target_types: some of `TARGET_TYPES`.
        masks: (n, S, S) uint8 in {0, 1}.
        columns: (n,) arrays by name, of the samples as they were generated.
        labels: (n,) int64, which the user may have changed.

    Returns:
        n targets: a single one as it is, several as a tuple, none as None.
    """
    values: dict[str, list[Any]] = {
        name: column.tolist() for name, column in columns.items()
    }
    values["group"] = (2 * columns["label"] + columns["background_aligned"]).tolist()
    values["label"] = labels.tolist()
    if "mask" in target_types:
        values["mask"] = [Mask(torch.from_numpy(mask)) for mask in masks]
    wanted = [values[name] for name in target_types]
    if len(wanted) == 1:
        return wanted[0]
    return [*zip(*wanted, strict=True)] or [None] * len(masks)


class TransformedDataset(VisionDataset):  # type: ignore[misc]  # torchvision is untyped
    """torchvision's dataset, whose three transforms never contradict each other."""

    # torchvision sets them one by one, and each setter looks at the others.
    _transform: Transform | None = None
    _target_transform: Transform | None = None
    _transforms: Transform | None = None

    @property
    def transform(self) -> Transform | None:
        """What is called with the image; replaces a joint `transforms`."""
        return self._transform

    @transform.setter
    def transform(self, value: Transform | None) -> None:
        self._transform = value
        self._join_transforms()

    @property
    def target_transform(self) -> Transform | None:
        """What is called with the target; replaces a joint `transforms`."""
        return self._target_transform

    @target_transform.setter
    def target_transform(self, value: Transform | None) -> None:
        self._target_transform = value
        self._join_transforms()

    @property
    def transforms(self) -> Transform | None:
        """What is called with image and target; replaces the other two."""
        return self._transforms

    @transforms.setter
    def transforms(self, value: Transform | None) -> None:
        self._transform = self._target_transform = None
        if isinstance(value, StandardTransform):
            self._transform = value.transform
            self._target_transform = value.target_transform
        self._transforms = value

    def _join_transforms(self) -> None:
        pair = self._transform, self._target_transform
        self._transforms = None if pair == (None, None) else StandardTransform(*pair)
