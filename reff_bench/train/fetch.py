"""How long steps take, and the device waits for its batches: `Clocks`, `FetchClock`."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

import torch

from reff_bench.data.batch import Batch


class Clocks(NamedTuple):
    """Seconds on the clock, and those that this process computed."""

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Self:
        """Read both."""
        return cls(time.perf_counter(), time.process_time())

    def elapsed(self) -> Self:
        """Return what passed since these were read."""
        now = self.now()
        return type(self)(now.wall - self.wall, now.processor - self.processor)


class FetchClock:
    """Adds up the time from the end of a step until the next one can begin.

    On a CPU that is the time in which the next batch is made. On a GPU it is taken on
    the device, by events behind what a step has queued and before what the next one
    will: while the host is ahead, nothing lies between them but the device's own work
    on the batch (copies, rendering); if the batch comes late, the idle time as well.
    No step waits for the events.
    """

    def __init__(self, device: torch.device) -> None:
        """Start at zero."""
        self._device = device
        self._seconds = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches; each request's time is counted, but not the last one's."""
        fetch = self._fetch_on_gpu if self._device.type == "cuda" else self._fetch
        source = iter(batches)
        while (batch := fetch(source)) is not None:
            yield batch

    def take(self) -> float:
        """Return the seconds since the last call; on a GPU waits for the last batch."""
        for start, ended in self._events:
            ended.synchronize()
            self._seconds += start.elapsed_time(ended) / 1e3
        self._events.clear()
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _fetch(self, source: Iterator[Batch]) -> Batch | None:
        start = time.perf_counter()
        batch = next(source, None)
        if batch is not None:
            self._seconds += time.perf_counter() - start
        return batch

    def _fetch_on_gpu(self, source: Iterator[Batch]) -> Batch | None:
        stream = torch.cuda.current_stream(self._device)
        start = stream.record_event(_event())
        batch = next(source, None)
        if batch is not None:
            self._events.append((start, stream.record_event(_event())))
        return batch


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
