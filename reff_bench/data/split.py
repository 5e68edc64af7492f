"""One split of a dataset: `Split`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reff_bench.data.batch import Batch
from reff_bench.data.pixels import Pixels, PixelSource, read_batches
from reff_bench.data.transforms import flip_pairs, normalise


@dataclass(frozen=True, slots=True)
class Split:
    """Samples that are read by their index.

    Attributes:
        source: reads the pixels.
        labels: (n,) int64.
        groups: (n,) int64.
        annotated: (n,) bool: the true mask is there and may be used.
        pseudo: (n, S, S) uint8 in [0, 255], the pseudo-annotator's masks, or None.
        size: height and width of an image in px.
    """

    source: PixelSource
    labels: Tensor
    groups: Tensor
    annotated: Tensor
    size: int
    pseudo: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    def with_masks(
        self, annotated: NDArray[np.bool_], pseudo: NDArray[np.uint8] | None
    ) -> "Split":
        """Return the split with other annotations, and masks for the images without."""
        return replace(self, annotated=torch.from_numpy(annotated), pseudo=pseudo)

    def get(
        self,
        indices: Sequence[int] | Tensor,
        device: torch.device | str = "cpu",
        flipped: Tensor | None = None,
    ) -> Batch:
        """Return some samples.

        Args:
            indices: (n,) in any order.
            device: where the batch goes.
            flipped: (n,) bool, samples to mirror; none by default.
        """
        rows = torch.as_tensor(indices, dtype=torch.int64)
        return self._batch(rows, self.source.read(rows), device, flipped)

    def batches(
        self,
        batches: Sequence[Tensor],
        *,
        device: torch.device | str = "cpu",
        workers: int = 0,
        flipped: Tensor | None = None,
    ) -> Iterator[Batch]:
        """Yield batches in order, read ahead by processes if there are any.

        Args:
            batches: (n,) int64 indices of each.
            device: where the batches go.
            workers: processes that read.
            flipped: (len(self),) bool, samples to mirror; none by default.
        """
        pixels = read_batches(self.source, batches, workers)
        for rows, read in zip(batches, pixels, strict=True):
            yield self._batch(
                rows, read, device, None if flipped is None else flipped[rows]
            )

    def in_order(
        self, batch_size: int, device: torch.device | str = "cpu", workers: int = 0
    ) -> Iterator[Batch]:
        """Yield all samples in the order of their indices."""
        rows = torch.split(torch.arange(len(self)), batch_size)
        return self.batches(rows, device=device, workers=workers)

    def _batch(
        self,
        rows: Tensor,
        pixels: Pixels,
        device: torch.device | str,
        flipped: Tensor | None,
    ) -> Batch:
        # A mask without any relevant pixel (a trimap of Pets is such a one) says
        # nothing; taken at its word it would call the whole image irrelevant.
        annotated = self.annotated[rows] & (pixels[1] != 0).flatten(1).any(1)
        images = pixels[0].to(device, non_blocking=True)
        masks = self._masks(rows, annotated, pixels[1]).to(device, non_blocking=True)
        if flipped is not None and bool(flipped.any()):
            images, masks = flip_pairs(images, masks, flipped.to(device))
        return Batch(
            image=normalise(images),
            label=self.labels[rows].to(device),
            mask=masks.to(torch.float32) / 255,
            annotated=annotated.to(device),
            group=self.groups[rows].to(device),
            index=rows.to(device),
        )

    def _masks(self, rows: Tensor, annotated: Tensor, true: Tensor) -> Tensor:
        """Return (n, S, S) uint8 in [0, 255]."""
        if self.pseudo is None:
            others = torch.full_like(true, 255)
        else:
            others = torch.from_numpy(np.ascontiguousarray(self.pseudo[rows.numpy()]))
        return torch.where(annotated.view(-1, 1, 1), true * 255, others)


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset, opened for a cell.

    Attributes:
        class_names: by label.
        group_names: by group.
        splits: `train`, `val`, `test`, and `val_shifted` where there is one.
        identity: sha256 (hex) of what was opened.
        size: height and width of an image in px.
    """

    class_names: tuple[str, ...]
    group_names: tuple[str, ...]
    splits: dict[str, Split]
    identity: str
    size: int

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)
