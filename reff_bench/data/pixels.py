"""Where pixels come from: memory, a renderer or image files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from reff_bench.data.transforms import resize_mask, resize_pair
from reff_bench.identity.tree import DataError
from texturedmnist.dataset.samples import RenderedSamples, StoredSamples
from texturedmnist.sources.decode import DECODE_ERRORS, MAX_PIXELS, pillow_as_shipped

Pixels = tuple[Tensor, Tensor]
Coding = Literal["two_values", "trimap"]
TRIMAP = {1, 2, 3}
FULL = {"1": 1, "I;16": 65_535, "I;16B": 65_535, "I": 65_535}  # of a mode; else 255
EXPECTED: Mapping[Coding, str] = {
    "two_values": "a mask must have two values, of which the larger is relevant, or "
    "be all 0 or all white; unpack the official archive again",
    "trimap": "an official trimap has 1 (foreground), 2 (background) and 3 "
    "(indeterminate) alone; unpack the official archive again",
}
MEMORY_LIMIT_BYTES = 2**30  # a split above it is read or rendered again every epoch
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
    """Some samples of another source, on the CPU or on a device.

    Attributes:
        source: of the pixels.
        rows: (n,) int64 where the pixels are, the index there of each sample.
    """

    source: PixelSource
    rows: Tensor

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self.rows.device

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples."""
        return self.source.read(self.rows[indices])


@dataclass(frozen=True, slots=True)
class SamplePixels:
    """Samples of a Textured MNIST, read when they are asked for."""

    samples: StoredSamples | RenderedSamples

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
        coding: of the mask files, see `read_mask`.
        size: height and width in px.
    """

    images: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    coding: Coding
    size: int

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples; a mask that isn't there is all zeros."""
        pairs = [self._pair(index) for index in indices.tolist()]
        images, masks = zip(*pairs, strict=True)
        return torch.stack(images), torch.stack(masks)

    def read_mask(self, index: int) -> Tensor:
        """Return a sample's mask alone, as `read` gives it."""
        path = self.masks[index]
        if path is None:
            return torch.zeros(self.size, self.size, dtype=torch.uint8)
        return resize_mask(read_mask(path, self.coding), self.size)

    def _pair(self, index: int) -> Pixels:
        image = read_image(self.images[index])
        path = self.masks[index]
        if path is None:
            mask = torch.zeros(image.shape[1:], dtype=torch.uint8)
        else:
            mask = read_mask(path, self.coding)
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


def read_mask(path: Path, coding: Coding) -> Tensor:
    """Return (H, W) uint8, 1 where a mask file says relevant.

    `trimap`: of Pets' official values 1 is relevant [paper], 2 (background) and 3
    (indeterminate) are not. `two_values`: the larger of two values is relevant, in 1, 8
    or 16 bits or as a palette's colors; with one value 0 is an empty mask and the
    largest that the file can hold a full one.

    Raises:
        DataError: the file is absent, no image, has colors or an unexpected coding.
    """
    with _open(path) as file:
        mode = file.mode
        if mode == "P" and coding == "two_values":
            colors = np.array(file.convert("RGB"))
            gray = (colors == colors[..., :1]).all()
            values = colors[..., 0] if gray else colors
        else:
            values = np.array(file)
    if values.ndim != 2:
        raise DataError(
            f"{path} has {values.ndim} axes; a mask must be an image of one channel"
        )
    found = np.unique(values).astype(np.int64)
    if coding == "trimap":
        relevant = 1 if set(found.tolist()) <= TRIMAP else None
    else:
        relevant = _larger(found, FULL.get(mode, 255))
    if relevant is None:
        shown = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
        raise DataError(f"{path} has the values {shown}; {EXPECTED[coding]}")
    return torch.from_numpy((values == relevant).astype(np.uint8))


def _larger(found: NDArray[np.int64], full: int) -> int | None:
    """Return the relevant one of a mask's values; None if they are no mask's."""
    if len(found) == 2:
        return int(found[1])
    if len(found) == 1 and found[0] in (0, full):
        return full
    return None


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
    """Yield the pixels of each batch, (n,) int64 indices, in order.

    Processes, if there are any, read ahead; pixels in memory need none.
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
        with path.open("rb") as stream, pillow_as_shipped():
            file = Image.open(stream)
            if file.width * file.height > MAX_PIXELS:
                raise DataError(
                    f"{path} is too large: {file.width} x {file.height} px; at most "
                    f"{MAX_PIXELS} px in all: crop it"
                )
            file.load()
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; unpack the official archive again"
        ) from None
    except DataError:
        raise
    except DECODE_ERRORS as error:
        if getattr(error, "errno", None):  # a fault of rights, limits or the disk
            raise DataError(f"can't read {path}: {error}") from None
        raise DataError(
            f"{path} can't be read as an image ({error}); unpack the official archive "
            "again"
        ) from None
    return file
