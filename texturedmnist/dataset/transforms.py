"""A dataset whose transforms can be set one by one or jointly, at any time."""

from collections.abc import Callable
from typing import Any

from torchvision.datasets import VisionDataset
from torchvision.datasets.vision import StandardTransform

Transform = Callable[..., Any]


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
