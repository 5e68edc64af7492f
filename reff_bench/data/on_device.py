"""Pixels on a device: they live there, are rendered there or are sent ahead."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from reff_bench.data.pixels import AT_ONCE, Pixels, PixelSource
from texturedmnist.dataset import DeviceSamples
from texturedmnist.render_torch import free_bytes

DEPTH = 2  # batches that are read and sent before they are asked for

Tensors = tuple[Tensor, ...]
Item = TypeVar("Item")


class DevicePixels(Protocol):
    """Reads samples on a device by their index in a split."""

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""

    def read(self, indices: Tensor) -> Pixels:
        """Return images (n, 3, S, S) and masks (n, S, S) in {0, 1}, both uint8.

        Args:
            indices: (n,) int64, on the device as the results are.
        """


@dataclass(frozen=True, slots=True)
class StoredPixels:
    """All samples of a split on a device.

    Attributes:
        images: (n, S, S, 3) uint8: a batch of them is in `torch.channels_last`.
        masks: (n, S, S) uint8 in {0, 1}.
    """

    images: Tensor
    masks: Tensor

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self.images.device

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples."""
        return self.images[indices].permute(0, 3, 1, 2), self.masks[indices]


@dataclass(frozen=True, slots=True)
class RenderedPixels:
    """Samples that are rendered on the device when they are read."""

    samples: DeviceSamples

    @property
    def device(self) -> torch.device:
        """Where the samples are rendered."""
        return self.samples.device

    def read(self, indices: Tensor) -> Pixels:
        """Return the samples."""
        images, masks, _ = self.samples.read(indices)
        return images, masks


class NoRoomError(Exception):
    """Pixels that would take too much of a device; they are read on the CPU then."""


def resolve_device(device: torch.device | str) -> torch.device:
    """Return the device with its number: `cuda` is the current GPU."""
    place = torch.device(device)
    if str(place) == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return place


def has_room(needed: int, device: torch.device) -> bool:
    """Tell whether so many bytes may live on a device for good.

    Only on a GPU, half of whose memory stays free for the training.
    """
    free = free_bytes(device)
    if free is None:
        return False
    return free - needed >= torch.cuda.get_device_properties(device).total_memory / 2


def require_room(needed: int, device: torch.device) -> None:
    """Refuse what `has_room` doesn't allow.

    Raises:
        NoRoomError: there is no room.
    """
    if not has_room(needed, device):
        raise NoRoomError(f"no room for {needed} bytes on {device}")


def store_pixels(
    source: PixelSource, count: int, size: int, device: torch.device
) -> StoredPixels:
    """Bring all samples of a source, of `size` px, to a device.

    Raises:
        NoRoomError: there is no room.
    """
    require_room(count * size * size * 4, device)
    shape = (count, size, size)
    images = torch.empty(*shape, 3, dtype=torch.uint8, device=device)
    masks = torch.empty(shape, dtype=torch.uint8, device=device)
    for rows in torch.split(torch.arange(count), AT_ONCE):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        read = source.read(rows)
        images[part] = read[0].permute(0, 2, 3, 1).to(device)
        masks[part] = read[1].to(device)
    return StoredPixels(images, masks)


def prefetch(items: Iterator[Tensors], device: torch.device) -> Iterator[Tensors]:
    """Yield tensors on a device, in order.

    For a GPU a thread reads ahead, pins and copies on a stream of its own, so that
    neither the GPU nor the one who asks waits for a copy.
    """
    if device.type == "cpu":
        return items
    if device.type == "cuda":
        return _prefetch_to_gpu(items, device)
    return (tuple(one.to(device) for one in item) for item in items)


def ahead(items: Iterator[Item], depth: int = DEPTH) -> Iterator[Item]:
    """Yield items in order; a thread asks for the next ones meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        ask = partial(pool.submit, next, items, None)
        waiting = deque(ask() for _ in range(depth))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(ask())
            yield item


def _prefetch_to_gpu(
    items: Iterator[Tensors], device: torch.device
) -> Iterator[Tensors]:
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for sent, arrived in ahead(map(partial(_copy, stream=stream), items)):
        current = torch.cuda.current_stream(device)
        current.wait_event(arrived)  # the GPU waits, not the CPU
        for one in sent:
            one.record_stream(current)  # its memory isn't given away before
        yield sent


def _copy(item: Tensors, stream: torch.cuda.Stream) -> tuple[Tensors, torch.cuda.Event]:
    with torch.cuda.stream(stream):
        sent = tuple(
            one.pin_memory().to(stream.device, non_blocking=True) for one in item
        )
        return sent, stream.record_event()
