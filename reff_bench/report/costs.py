"""What a method's runs cost beside Baseline's on the same device, pure."""

from collections.abc import Callable, Hashable, Iterable
from statistics import median
from typing import TypeVar

from reff_bench.results.folder import RunRecord

Key = TypeVar("Key", bound=Hashable)
BASELINE = "baseline"
# With these and the device equal, times of steps can be held against each other.
SAME_WORK = ("backbone", "image_size", "batch_size", "precision", "threads", "compile")


def relative_costs(
    rows: Iterable[RunRecord],
    key: Callable[[RunRecord], Key],
    data: Callable[[RunRecord], Hashable] | None = None,
) -> dict[Key, float]:
    """Return how long a training image took, in those of Baseline.

    Args:
        rows: the runs, Baseline's among them.
        key: what tells apart the runs whose costs are wanted; one of which none ran
            beside Baseline, on its device, isn't in the result.
        data: what a run was trained on; with it, how long the whole training took, in
            those of Baseline on the same data.
    """
    plain: dict[Hashable, list[float]] = {}
    speeds: dict[Key, dict[Hashable, list[float]]] = {}
    for row in rows:
        clock, speed = _speed(row, whole=data is not None)
        place = (clock, row.environment.get("device"), *row.settings.values(SAME_WORK))
        if data is not None:
            place = (*place, data(row))
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


def _speed(row: RunRecord, *, whole: bool) -> tuple[str, float | None]:
    """Return a clock, and training images or whole trainings in a second of it.

    The processor's own seconds where they are known: what else ran doesn't matter then.
    """
    names = ("train_seconds", "processor_seconds", "images_per_second")
    seconds, own, speed = (row.metrics.get(name) for name in names)
    if whole:
        speed = 1 / seconds if seconds else None
    if speed and seconds and own:
        return "processor", speed * seconds / own
    return "wall", speed
