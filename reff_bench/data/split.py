"""One split of a dataset: `Split`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reff_bench.data.batch import Batch, SampleMetadata, place_pseudo
from reff_bench.data.on_device import DevicePixels, prefetch, resolve_device
from reff_bench.data.pixels import Pixels, PixelSource, read_batches

# Images (N, 3, S, S) float32, normalized, and masks (N, S, S) float32 -> images.
Prepare: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Split:
    """Samples that are read by their index.

    Attributes:
        source: reads the pixels on the CPU, whatever device the batches go to.
        labels: (n,) int64.
        groups: (n,) int64.
        annotated: (n,) bool: the true mask is there and may be used.
        size: height and width of an image in px.
        pseudo: (n, S, S) uint8 in [0, 255], the pseudo-annotator's masks, or None.
        on_device: the same pixels on a GPU, where there is room for them; batches on
            that GPU are read from it.
        empty_masks: images whose mask shows nothing relevant; they aren't annotated.
        prepare: images and masks -> the images that are given; None: as they are.
    """

    source: PixelSource
    labels: Tensor
    groups: Tensor
    annotated: Tensor
    size: int
    pseudo: NDArray[np.uint8] | None = None
    on_device: DevicePixels | None = None
    empty_masks: int = 0
    prepare: Prepare | None = None
    _facts: dict[torch.device, SampleMetadata] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    def with_masks(
        self, annotated: NDArray[np.bool_], pseudo: NDArray[np.uint8] | None
    ) -> "Split":
        """Return the split with other annotations, and masks for the images without."""
        return replace(self, annotated=torch.from_numpy(annotated), pseudo=pseudo)

    def prepared(self, prepare: Prepare | None) -> "Split":
        """Return the split with something done to its images, or as it is."""
        return self if prepare is None else replace(self, prepare=prepare)

    def get(
        self,
        indices: Sequence[int] | Tensor,
        device: torch.device | str = "cpu",
        flipped: Tensor | None = None,
    ) -> Batch:
        """Return some samples, (n,) in any order, on a device.

        `flipped`: (n,) bool, samples to mirror; none by default.
        """
        rows = torch.as_tensor(indices, dtype=torch.int64)
        place = resolve_device(device)
        flips = None if flipped is None else flipped.to(place)
        known, there = self._known(place), rows.to(place)
        (pixels,) = self._pixels([rows], [there], place, workers=0)
        (pseudo,) = self._pseudo([rows], [there], place)
        return self._prepare(known.batch(there, pixels, pseudo, flips))

    def batches(
        self,
        batches: Sequence[Tensor],
        *,
        device: torch.device | str = "cpu",
        workers: int = 0,
        flipped: Tensor | None = None,
    ) -> Iterator[Batch]:
        """Yield batches in order, read ahead by processes if there are any.

        On a GPU no batch waits for a copy: labels, indices and, where there is room,
        pixels and pseudo masks are there; other pixels are read and sent ahead.

        Args:
            batches: (n,) int64 indices of each, on the CPU.
            device: where the batches go.
            workers: processes that read.
            flipped: (len(self),) bool, samples to mirror; none by default.
        """
        place = resolve_device(device)
        known, there = self._known(place), _move_all(batches, place)
        flips = None if flipped is None else flipped.to(place)
        pixels = self._pixels(batches, there, place, workers)
        pseudo = self._pseudo(batches, there, place)
        for rows, read, masks in zip(there, pixels, pseudo, strict=True):
            some = None if flips is None else flips[rows]
            yield self._prepare(known.batch(rows, read, masks, some))

    def in_order(
        self, batch_size: int, device: torch.device | str = "cpu", workers: int = 0
    ) -> Iterator[Batch]:
        """Yield all samples in the order of their indices."""
        rows = torch.split(torch.arange(len(self)), batch_size)
        return self.batches(rows, device=device, workers=workers)

    def _prepare(self, batch: Batch) -> Batch:
        if self.prepare is None:
            return batch
        return batch.with_pixels(self.prepare(batch.image, batch.mask), batch.mask)

    def _known(self, device: torch.device) -> SampleMetadata:
        """Return what is known of the samples, brought to the device once."""
        if device not in self._facts:
            pseudo = None if self.pseudo is None else place_pseudo(self.pseudo, device)
            self._facts[device] = SampleMetadata(
                self.labels.to(device),
                self.groups.to(device),
                self.annotated.to(device),
                pseudo,
            )
        return self._facts[device]

    def _pixels(
        self,
        batches: Sequence[Tensor],
        there: Sequence[Tensor],
        device: torch.device,
        workers: int,
    ) -> Iterator[Pixels]:
        """Yield the pixels of batches, whose rows are on the CPU and `there`."""
        if self.on_device is not None and self.on_device.device == device:
            return map(self.on_device.read, there)
        read = read_batches(self.source, batches, workers)
        return ((images, masks) for images, masks in prefetch(read, device))

    def _pseudo(
        self, batches: Sequence[Tensor], there: Sequence[Tensor], device: torch.device
    ) -> Iterator[Tensor | None]:
        """Yield the pseudo masks of batches, None where there are none."""
        placed = self._known(device).pseudo
        if placed is not None:
            return (placed[rows] for rows in there)
        if self.pseudo is None:
            return (None for _ in batches)
        read = ((_take(self.pseudo, rows),) for rows in batches)
        return (masks for (masks,) in prefetch(read, device))


def _take(pseudo: NDArray[np.uint8], rows: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pseudo[rows.numpy()]))


def _move_all(batches: Sequence[Tensor], device: torch.device) -> Sequence[Tensor]:
    """Bring the indices of many batches to a device by one copy."""
    if device.type == "cpu" or not batches:
        return batches
    sizes = [len(rows) for rows in batches]
    return torch.split(torch.cat([*batches]).to(device), sizes)


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset, opened for a run.

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

    def prepared(self, prepare: Prepare | None) -> "Data":
        """Return the data with something done to their images, or as they are."""
        splits = {name: one.prepared(prepare) for name, one in self.splits.items()}
        return replace(self, splits=splits)
