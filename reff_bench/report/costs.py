"""What a method's runs cost beside Baseline's on the same device, pure."""

from collections.abc import Callable, Hashable, Iterable
from statistics import median
from typing import Any, TypeVar

from reff_bench.results import RunRecord

Key = TypeVar("Key", bound=Hashable)
BASELINE = "baseline"
# With these and the device equal, times of steps can be held against each other.
SAME_WORK = ("backbone", "image_size", "batch_size", "precision", "threads", "compile")


def step_costs(
    rows: Iterable[RunRecord], key: Callable[[RunRecord], Key]
) -> dict[Key, float]:
    """Return how long a training image took, in those of Baseline.

    Args:
        rows: the runs, Baseline's among them.
        key: what tells apart the runs whose costs are wanted; one of which none ran
            beside Baseline, on its device, isn't in the result.
    """
    return _costs(rows, key, lambda row: row.metrics.get("images_per_second"), _place)


def training_costs(
    rows: Iterable[RunRecord],
    key: Callable[[RunRecord], Key],
    data: Callable[[RunRecord], Hashable],
) -> dict[Key, float]:
    """Return how long a whole training took, in those of Baseline on the same data.

    Args:
        rows: as in `step_costs`.
        key: likewise.
        data: what a run was trained on.
    """

    def speed(row: RunRecord) -> float | None:
        seconds = row.metrics.get("train_seconds")
        return 1 / seconds if seconds else None

    return _costs(rows, key, speed, lambda row: (data(row), *_place(row)))


def _place(row: RunRecord) -> tuple[Any, ...]:
    return row.environment.get("device"), *row.settings.values(SAME_WORK)


def _costs(
    rows: Iterable[RunRecord],
    key: Callable[[RunRecord], Key],
    speed_of: Callable[[RunRecord], float | None],
    place_of: Callable[[RunRecord], Hashable],
) -> dict[Key, float]:
    plain: dict[Hashable, list[float]] = {}
    speeds: dict[Key, dict[Hashable, list[float]]] = {}
    for row in rows:
        speed, place = speed_of(row), place_of(row)
        if speed:
            speeds.setdefault(key(row), {}).setdefault(place, []).append(speed)
            if row.method == BASELINE:
                plain.setdefault(place, []).append(speed)
    found = {
        one: [
            median(plain[place]) / median(own)
            for place, own in places.items()
            if place in plain
        ]
        for one, places in speeds.items()
    }
    return {one: median(ratios) for one, ratios in found.items() if ratios}
