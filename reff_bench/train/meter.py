"""What steps take, and means of what they say: `Clocks`, `FetchClock`, `Meter`."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeAlias

import torch
from torch import Tensor

from reff_bench.data.batch import Batch
from reff_bench.results.run import RunError

SYNC_EVERY = 10  # steps between two readings of the losses: each waits for a GPU

_Noted: TypeAlias = tuple[int, int, dict[str, Tensor | float]]


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


@dataclass(slots=True)
class Meter:
    """Adds up what the steps of an epoch say, weighted by their images.

    Attributes:
        sums: by name.
        images: added so far.
    """

    sums: dict[str, float] = field(default_factory=dict)
    images: int = 0
    _pending: list[_Noted] = field(default_factory=list)

    def add(
        self,
        step: int,
        images: int,
        losses: Mapping[str, Tensor],
        log: Mapping[str, Tensor | float],
    ) -> None:
        """Take note of a step, counted from 1; nothing is computed yet."""
        kept = {
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in {**losses, **log}.items()
        }
        self._pending.append((step, images, kept))

    @property
    def is_due(self) -> bool:
        """Whether it is time to read the losses."""
        return len(self._pending) >= SYNC_EVERY

    def sync(self, epoch: int) -> None:
        """Add up what was noted, step by step: the sums don't depend on when.

        Raises:
            RunError: something is infinite or not a number.
        """
        for step, images, values in _read(self._pending):
            if not all(math.isfinite(value) for value in values.values()):
                losses = ", ".join(
                    f"{name} {value:g}" for name, value in values.items()
                )
                raise RunError(
                    f"a loss became infinite or not a number in epoch {epoch}, step "
                    f"{step} ({losses}); try a smaller lr or weight"
                )
            self.images += images
            for name, value in values.items():
                self.sums[name] = self.sums.get(name, 0.0) + images * value
        self._pending.clear()

    def means(self) -> dict[str, float]:
        """Return the mean of everything since the epoch began."""
        return {name: total / self.images for name, total in self.sums.items()}


def _read(waiting: Sequence[_Noted]) -> Iterator[tuple[int, int, dict[str, float]]]:
    """Yield what was noted as numbers, after one copy from each device and type."""
    kinds: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for _, _, noted in waiting:
        for value in noted.values():
            if isinstance(value, Tensor):
                scalars = kinds.setdefault((value.device, value.dtype), [])
                scalars.append(value.reshape(()))
    read = {kind: iter(torch.stack(found).tolist()) for kind, found in kinds.items()}
    for step, images, noted in waiting:
        values = {
            name: float(
                next(read[value.device, value.dtype])
                if isinstance(value, Tensor)
                else value
            )
            for name, value in noted.items()
        }
        yield step, images, values
