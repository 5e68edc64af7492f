"""Where pixels come from: memory, a renderer or image files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from reff_bench.data.errors import DataError
from reff_bench.data.transforms import resize_pair

Pixels = tuple[Tensor, Tensor]
MEMORY_LIMIT_BYTES = 2**30  # a split above it is read or rendered anew every epoch
AT_ONCE = 256  # samples rendered or read together while memory is filled


class PixelSource(Protocol):
    """Reads samples by their index in a split, always on the CPU."""

    def read(self, indices: Tensor) -> Pixels:
        """Return images (n, 3, S, S) and masks (n, S, S) in {0, 1}, both uint8.

        Args:
            indices: (n,) int64, on the CPU as the results are.
        """


@dataclass(frozen=True, slots=True)
class MemoryPixels:
    """All samples of a split.

    Attributes:
        images: (n, 3, S, S) uint8.
        masks: (n, S, S) uint8 in {0, 1}.
    """

    images: Tensor
    masks: Tensor

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples."""
        return self.images[indices], self.masks[indices]


@dataclass(frozen=True, slots=True)
class IndexedPixels:
    """Some samples of another source.

    Attributes:
        source: of the pixels.
        rows: (n,) int64, the index there of each sample.
    """

    source: PixelSource
    rows: Tensor

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples."""
        return self.source.read(self.rows[indices])


class Samples(Protocol):
    """What `texturedmnist` reads: stored or rendered samples."""

    def read(
        self, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return images (n, S, S, 3) and masks (n, S, S)."""


@dataclass(frozen=True, slots=True)
class SamplePixels:
    """Samples of a Textured MNIST, read when they are asked for."""

    samples: Samples

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples."""
        images, masks = self.samples.read(indices.numpy())
        channels_first = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        return channels_first, torch.from_numpy(masks)


@dataclass(frozen=True, slots=True)
class FilePixels:
    """Image files and mask files, brought to one size.

    Attributes:
        images: a file per sample.
        masks: a file per sample, or None where there is no mask.
        relevant: the values of a mask file that are relevant.
        size: height and width in px.
    """

    images: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    relevant: tuple[int, ...]
    size: int

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples; a mask that isn't there is all zeros."""
        pairs = [self._pair(index) for index in indices.tolist()]
        images, masks = zip(*pairs, strict=True)
        return torch.stack(images), torch.stack(masks)

    def _pair(self, index: int) -> Pixels:
        image = read_image(self.images[index])
        path = self.masks[index]
        if path is None:
            mask = torch.zeros(image.shape[1:], dtype=torch.uint8)
        else:
            mask = read_mask(path, self.relevant)
        return resize_pair(image, mask, self.size)


def read_image(path: Path) -> Tensor:
    """Return (3, H, W) uint8 RGB, whatever the file really holds.

    Raises:
        DataError: the file is absent or no image.
    """
    with _open(path) as file:
        if "transparency" in file.info:  # Pillow warns of a palette with alpha
            file = file.convert("RGBA")
        pixels = np.array(file.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def read_mask(path: Path, relevant: Sequence[int]) -> Tensor:
    """Return (H, W) uint8, 1 where the file's value is one of `relevant`.

    Raises:
        DataError: the file is absent, no image, or has colours.
    """
    with _open(path) as file:
        values = np.array(file)
    if values.ndim != 2:
        raise DataError(
            f"{path} has {values.ndim} axes; a mask must be an image of one channel"
        )
    return torch.from_numpy(np.isin(values, relevant).astype(np.uint8))


def in_memory(source: PixelSource, count: int, size: int) -> PixelSource:
    """Return the source with its pixels in memory, or itself if they are too many."""
    if count * size * size * 4 > MEMORY_LIMIT_BYTES:
        return source
    images = torch.empty(count, 3, size, size, dtype=torch.uint8)
    masks = torch.empty(count, size, size, dtype=torch.uint8)
    for rows in torch.split(torch.arange(count), AT_ONCE):
        images[rows], masks[rows] = source.read(rows)
    return MemoryPixels(images, masks)


def read_batches(
    source: PixelSource, batches: Sequence[Tensor], workers: int
) -> Iterator[Pixels]:
    """Yield the pixels of each batch, in order; processes read ahead if there are any.

    Args:
        source: of the pixels.
        batches: (n,) int64 indices of each.
        workers: processes; pixels in memory need none.
    """
    if workers == 0 or _lies_in_memory(source):
        for indices in batches:
            yield source.read(indices)
        return
    yield from DataLoader(
        _Reader(source),
        batch_sampler=[indices.tolist() for indices in batches],
        num_workers=workers,
        collate_fn=_as_read,
        generator=torch.Generator(),  # the global state is the model's
    )


@dataclass(frozen=True, slots=True)
class _Reader(Dataset[Tensor]):
    source: PixelSource

    def __getitems__(self, indices: list[int]) -> Pixels:
        return self.source.read(torch.tensor(indices))


def _lies_in_memory(source: PixelSource) -> bool:
    if isinstance(source, IndexedPixels):
        return _lies_in_memory(source.source)
    return isinstance(source, MemoryPixels)


def _as_read(pixels: Any) -> Any:  # noqa: ANN401 (DataLoader knows no other type)
    return pixels


def _open(path: Path) -> Image.Image:
    try:
        file = Image.open(path)
        file.load()
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; unpack the official archive again"
        ) from None
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(
            f"{path} can't be read as an image ({error}); unpack the official archive "
            "again"
        ) from None
    return file
