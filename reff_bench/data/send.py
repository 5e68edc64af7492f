"""Bringing what was read on the CPU to a device while the device works: `send`."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

DEPTH = 2  # batches that are read and sent before they are asked for

Tensors = tuple[Tensor, ...]
Item = TypeVar("Item")


def send(items: Iterator[Tensors], device: torch.device) -> Iterator[Tensors]:
    """Yield tensors on a device, in order.

    For a GPU a thread reads ahead, pins and copies on a stream of its own, so that
    neither the GPU nor the one who asks waits for a copy.
    """
    if device.type == "cpu":
        return items
    if device.type == "cuda":
        return _send_to_gpu(items, device)
    return (tuple(one.to(device) for one in item) for item in items)


def ahead(items: Iterator[Item], depth: int = DEPTH) -> Iterator[Item]:
    """Yield items in order; a thread asks for the next ones meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        ask = partial(pool.submit, next, items, None)
        waiting = deque(ask() for _ in range(depth))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(ask())
            yield item


def _send_to_gpu(items: Iterator[Tensors], device: torch.device) -> Iterator[Tensors]:
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
