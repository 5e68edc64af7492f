"""Step times, measured and kept, and with them a grid's cost in words."""

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reff_bench.cost.operations import (
    TITLES,
    Operation,
    WorkEstimate,
    describe_operation,
    estimate_work,
)
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.results.json_file import read_json
from texturedmnist.common.files import write_atomically
from texturedmnist.common.text import align

SCHEMA_VERSION = 2
HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class StepTimes:
    """How long each operation takes on one device, of the type `cpu` or `cuda`."""

    device: str
    device_type: str
    seconds: Mapping[Operation, float]


def write_step_times(path: Path, times: StepTimes) -> None:
    """Write step times as JSON, atomically."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "device": times.device,
        "device_type": times.device_type,
        "operations": [
            {"kind": one.kind, "settings": json.loads(one.settings), "seconds": seconds}
            for one, seconds in times.seconds.items()
        ],
    }
    write_atomically(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_step_times(path: Path) -> StepTimes:
    """Read what `write_step_times` has written.

    Raises:
        GridError: the file is of another kind or version.
        ResultsError: the file is broken.
    """
    content = read_json(path)
    try:
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError
        seconds = {
            Operation.of(str(one["kind"]), dict(one["settings"])): float(one["seconds"])
            for one in content["operations"]
        }
        if not all(0 <= value < math.inf for value in seconds.values()):
            raise ValueError
        return StepTimes(str(content["device"]), str(content["device_type"]), seconds)
    # What a file that we haven't written holds in place of a part, or doesn't hold.
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise GridError(
            f"{path} holds no step times of schema version {SCHEMA_VERSION}; give a "
            "file that reff-bench run --dry-run --cost --step-times FILE has written, "
            "or a new name"
        ) from None


def describe_cost(
    configs: Sequence[RunConfig], times: StepTimes, devices: Collection[int]
) -> str:
    """Return what some runs, each once, cost: by operation, then by number of devices.

    The times are of all their operations; each device does one run at a time.
    """
    works = [estimate_work(config) for config in configs]
    rows, total = _operation_rows(works, times)
    longest = max((work.seconds(times.seconds) for work in works), default=0.0)
    plans = [_plan_row(total, longest, count) for count in devices]
    heads = ("operation", "runs", "times", "ms each", "hours")
    lines = [
        f"cost on {_device(times)}, without reading of data:",
        *(f"  {line}" for line in align([heads, *rows], "<>>>>")),
        "",
    ]
    table = align([("devices", "at least", "limited by"), *plans], "<><")
    return "\n".join([*lines, *(f"  {line}" for line in table)])


def describe_seconds(seconds: float) -> str:
    """Return a time in the unit that suits it: `3.5 h`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.3g} min"
    if seconds < 3 * DAY:
        return f"{seconds / HOUR:.3g} h"
    return f"{_digits(seconds / DAY)} days"


def _operation_rows(
    works: Sequence[WorkEstimate], times: StepTimes
) -> tuple[list[tuple[str, ...]], float]:
    """Return a row for each operation, and the seconds of all; annotators once."""
    runs: Counter[Operation] = Counter()
    counts: dict[Operation, float] = {}
    made: set[str | None] = {None}
    for work in works:
        shared = {} if work.annotator in made else work.annotator_operations
        made.add(work.annotator)
        for operation, count in (*work.operations.items(), *shared.items()):
            runs[operation] += 1
            counts[operation] = counts.get(operation, 0.0) + count
    order = [*TITLES]
    rows: list[tuple[str, ...]] = [
        (
            describe_operation(operation, counts),
            str(runs[operation]),
            f"{counts[operation]:,.0f}",
            _digits(1e3 * times.seconds[operation]),
            _digits(counts[operation] * times.seconds[operation] / HOUR),
        )
        for operation in sorted(counts, key=lambda one: order.index(one.kind))
    ]
    total: float = sum(counts[one] * times.seconds[one] for one in counts)
    return rows, total


def _plan_row(total: float, longest: float, devices: int) -> tuple[str, ...]:
    """Return the time below which no order of the runs comes (Graham, 1966)."""
    by_work = total / devices >= longest
    return (
        f"{devices:,}",
        describe_seconds(max(total / devices, longest)),
        "the work in all" if by_work else "the longest run",
    )


def _device(times: StepTimes) -> str:
    if times.device_type != "cpu":
        return times.device
    return f"a CPU ({times.device}), a device being the threads of one run"


def _digits(value: float) -> str:
    """Return a number in three digits, or in whole ones: `0.0123`, `16,875`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
