"""How a cost grows with a count: seconds, peak memory and their log-log slopes."""

import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from math import log
from statistics import linear_regression, median

import click

from benchmarks.common import Table
from benchmarks.options import Bench


@dataclass(slots=True)
class Curve:
    """One cost at several counts.

    Attributes:
        name: of what is done.
        unit: what is counted: `samples`, `cells`.
        seconds: of each pass, by count.
        peaks: bytes of memory at the most, by count; empty where not measured.
    """

    name: str
    unit: str
    seconds: dict[int, list[float]] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, ...]:
        """The counts, in order."""
        return tuple(sorted(self.seconds))

    def medians(self) -> list[float]:
        """Return the seconds at each count."""
        return [median(self.seconds[count]) for count in self.counts]

    def slope(self, last: int = 0) -> float | None:
        """Return the log-log slope, over the `last` counts or all: 1 is linear."""
        points = list(zip(self.counts, self.medians(), strict=True))[-last:]
        if len(points) < 2:
            return None
        x, y = ([log(value) for value in axis] for axis in zip(*points, strict=True))
        return linear_regression(x, y).slope

    def row(self) -> list[str]:
        """Return the curve as a row of its table."""
        peaks = [f"{self.peaks[n] / 2**20:,.3g}" for n in sorted(self.peaks)]
        each = self.medians()[-1] / self.counts[-1]
        return [
            self.name,
            *(_duration(seconds) for seconds in self.medians()),
            *(_number(slope) for slope in (self.slope(), self.slope(2))),
            _duration(each),
            " / ".join(peaks),
        ]


def make_tables(curves: Iterable[Curve]) -> list[Table]:
    """Return a table for each run of curves over the same counts."""
    found = []
    for (unit, counts), group in groupby(curves, lambda c: (c.unit, c.counts)):
        head = [f"{unit}:", *(f"{count:,}" for count in counts)]
        head += ["slope", "slope at the end", f"each at {counts[-1]:,}", "peak MiB"]
        found.append(Table(head, [curve.row() for curve in group]))
    return found


def measure_peak(work: Callable[[], object]) -> int:
    """Return the bytes that Python and numpy hold at the most during work.

    Only what is allocated meanwhile is counted.
    """
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def add_pass(curve: Curve, count: int, seconds: float) -> None:
    """Note a pass, and say so."""
    curve.seconds.setdefault(count, []).append(seconds)
    click.echo(f"{count:>9,} {curve.unit}  {_duration(seconds):>9}  {curve.name}")


def measure_works(
    works: Mapping[str, Callable[[int], object]],
    unit: str,
    counts: Sequence[int],
    bench: Bench,
) -> list[Curve]:
    """Time works at each count, after a pass that warms up and shows its memory."""
    found = [Curve(name, unit) for name in works]
    for curve, work in zip(found, works.values(), strict=True):
        for count in counts:
            curve.peaks[count] = measure_peak(partial(work, count))
            for _ in range(bench.rounds):
                started = bench.clock()
                work(count)
                add_pass(curve, count, bench.clock() - started)
    return found


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
