"""How far a grid is, in words that a person can read."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self, TextIO

from reff_bench.grid.config import RunConfig, describe_configs
from reff_bench.results.run import RunProgress

REDRAW_SECONDS = 0.2
LINE_SECONDS = 10.0  # in a pipe


class ProgressBoard:
    """Shows on stderr the runs that are going on, their losses, and the time left.

    On a terminal one line is redrawn; in a pipe a line is written every ten seconds.
    Each finished run leaves a line. `clock` is in seconds.
    """

    def __init__(
        self,
        configs: Sequence[RunConfig],
        *,
        show: bool = True,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing done."""
        self._configs, self._show = configs, show
        self._words = describe_configs(configs)
        self._stream = sys.stderr if stream is None else stream
        self._clock, self._start = clock, clock()
        self._terminal = self._stream.isatty()
        self._costs = [_cost(config) for config in configs]
        self._running: dict[int, RunProgress | None] = {}
        self._started: dict[int, float] = {}
        self._done: set[int] = set()
        self._drawn = clock()

    def __enter__(self) -> Self:
        """Start showing."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the terminal on a clean line."""
        self._clear()

    def started(self, number: int) -> None:
        """A run begins, or goes on elsewhere because its worker was lost."""
        if number in self._running:
            self._write(f"{self._head(number)}: its worker was lost, goes on elsewhere")
        self._running[number], self._started[number] = None, self._clock()
        self._draw()

    def reported(self, number: int, progress: RunProgress) -> None:
        """A run says how far it is."""
        self._running[number] = progress
        self._draw()

    def finished(self, number: int, outcome: str) -> None:
        """A run has ended; `outcome` says how."""
        self._running.pop(number, None)
        self._done.add(number)
        seconds = self._clock() - self._started.get(number, self._clock())
        self._write(f"{self._head(number)}: {outcome}, {_duration(seconds)}")
        self._draw()

    def seconds_left(self) -> float | None:
        """Return an estimate, or None before there is anything to go by."""
        spent = sum(self._costs[number] for number in self._done)
        for number, progress in self._running.items():
            spent += self._costs[number] * (progress.fraction if progress else 0.0)
        if not spent:
            return None
        left = sum(self._costs) - spent
        return max(0.0, (self._clock() - self._start) * left / spent)

    def status(self) -> str:
        """Return what goes on now, in one line."""
        total, left = len(self._configs), self.seconds_left()
        parts = [
            f"run {number + 1} of {total}: "
            f"{describe_progress(progress, self._configs[number])} "
            f"({self._words[number]})"
            for number, progress in self._running.items()
        ]
        time_left = "" if left is None else f"about {_duration(left)} left; "
        return time_left + " | ".join(parts)

    def _head(self, number: int) -> str:
        return f"run {number + 1} of {len(self._configs)} ({self._words[number]})"

    def _draw(self) -> None:
        now = self._clock()
        pause = REDRAW_SECONDS if self._terminal else LINE_SECONDS
        if not self._show or not self._running or now - self._drawn < pause:
            return
        self._drawn = now
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._put(f"\r\x1b[K{self.status()[:width]}")
        else:
            self._write(self.status())

    def _write(self, line: str) -> None:
        if self._show:
            self._clear()
            self._put(f"{line}\n")

    def _clear(self) -> None:
        if self._show and self._terminal:
            self._put("\r\x1b[K")

    def _put(self, text: str) -> None:
        """Write, if it can be done: a closed terminal or a full disk stops no run."""
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


def describe_progress(progress: RunProgress | None, config: RunConfig) -> str:
    """Return how far one run is: `epoch 3 of 10, loss 0.52, 1200 images/s`."""
    if progress is None:
        return "starting"
    if progress.stage != "training":
        return f"{progress.stage}, {progress.fraction:.0%}"
    parts = [f"epoch {progress.epoch} of {config.all_epochs}"]
    parts += [f"{name} {value:.3g}" for name, value in progress.losses.items()]
    if progress.images_per_second is not None:
        parts.append(f"{progress.images_per_second:.0f} images/s")
    return ", ".join(parts)


def _cost(config: RunConfig) -> float:
    """Return what a run costs beside the others of its grid, roughly."""
    # Maps take two passes more, measured.
    explained = 2.0 if hasattr(config.options, "layers") else 1.0
    return config.all_epochs * (config.train or 1) * explained


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
