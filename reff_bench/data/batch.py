"""A batch, and what is known of all samples beside their pixels."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reff_bench.data.on_device import has_room
from reff_bench.data.pixels import AT_ONCE, Pixels
from reff_bench.data.transforms import flip_pairs, normalize


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


@dataclass(frozen=True, slots=True)
class SampleMetadata:
    """Labels, groups and annotations of all samples on the device of the batches.

    Attributes:
        labels: (n,) int64.
        groups: (n,) int64.
        annotated: (n,) bool.
        pseudo: (n, S, S) uint8 in [0, 255], the pseudo-annotator's masks where they fit
            on a GPU, else None.
    """

    labels: Tensor
    groups: Tensor
    annotated: Tensor
    pseudo: Tensor | None

    def batch(
        self,
        rows: Tensor,
        pixels: Pixels,
        pseudo: Tensor | None,
        flipped: Tensor | None,
    ) -> Batch:
        """Put a batch together; on a GPU nothing waits and nothing is copied to it.

        Args:
            rows: (n,) int64, on the device as all others.
            pixels: of these samples.
            pseudo: (n, S, S) uint8, their pseudo masks, if there are any.
            flipped: (n,) bool, samples to mirror.
        """
        images, true = pixels
        # A mask without any relevant pixel (a trimap of Pets is such a one) says
        # nothing; taken at its word it would call the whole image irrelevant.
        annotated = self.annotated[rows] & (true != 0).flatten(1).any(1)
        others = torch.full_like(true, 255) if pseudo is None else pseudo
        masks = torch.where(annotated.view(-1, 1, 1), true * 255, others)
        if flipped is not None and _is_any(flipped):
            images, masks = flip_pairs(images, masks, flipped)
        return Batch(
            image=normalize(images),
            label=self.labels[rows],
            mask=masks.to(torch.float32) / 255,
            annotated=annotated,
            group=self.groups[rows],
            index=rows,
        )


def place_pseudo(pseudo: NDArray[np.uint8], device: torch.device) -> Tensor | None:
    """Bring all pseudo masks, (n, S, S) uint8, to a device, if there is room."""
    if not has_room(pseudo.nbytes, device):
        return None
    placed = torch.empty(pseudo.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(pseudo), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        placed[part] = torch.from_numpy(np.array(pseudo[part])).to(device)
    return placed


def _is_any(flipped: Tensor) -> bool:
    """Whether one is to be mirrored; of a device, which would be waited for, yes."""
    return flipped.device.type != "cpu" or bool(flipped.any())
