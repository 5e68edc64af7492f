"""What every dataset gives: `Batch`."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Images with everything that is known of them.

    Attributes:
        image: (N, 3, S, S) float32, normalized with ImageNet's mean and deviation.
        label: (N,) int64.
        mask: (N, S, S) float32 in [0, 1], 1 = relevant: the true mask where
            `annotated`, else the pseudo-annotator's soft one, else all ones (nothing is
            known to be irrelevant).
        annotated: (N,) bool: the mask is a true one.
        group: (N,) int64.
        index: (N,) int64, position in the split.
    """

    image: Tensor
    label: Tensor
    mask: Tensor
    annotated: Tensor
    group: Tensor
    index: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.label)

    def with_pixels(self, image: Tensor, mask: Tensor) -> "Batch":
        """Return the batch with other images and masks."""
        return replace(self, image=image, mask=mask)

    def channels_last(self) -> "Batch":
        """Return the batch with its images in the layout that GPUs like."""
        image = self.image.contiguous(memory_format=torch.channels_last)
        return replace(self, image=image)
