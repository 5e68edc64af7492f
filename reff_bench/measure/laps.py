"""Timing work that can be done on more or fewer items at once: `find_pace`."""

import time
from collections.abc import Callable
from statistics import median

FEWEST = 3  # laps of which the median is taken
MOST = 20
SMALLEST = 8  # at 2 an image of a ReFF step of ResNet-50 takes 1.4 times as long

Clock = Callable[[], float]


def find_pace(
    prepare: Callable[[int], Callable[[], None]],
    most: int,
    seconds: float,
    *,
    least: int = SMALLEST,
    clock: Clock = time.perf_counter,
) -> tuple[float, int]:
    """Return the seconds for one item, and how many were done at once.

    The number is doubled while enough laps of it fit into the time. The first lap at
    each number is a warm-up.

    Args:
        prepare: number of items -> a lap that does them all, to be called again and
            again.
        most: items at once in real work.
        seconds: to spend, roughly; a first lap may take longer.
        least: items at once to begin with.
        clock: gives seconds, once what was asked of the device is done.
    """
    count = min(least, most)
    while True:
        lap = prepare(count)
        _time(lap, clock)
        laps = [_time(lap, clock)]
        if count == most or 2 * laps[0] * (FEWEST + 1) > seconds:
            break
        count = min(2 * count, most)
    while len(laps) < FEWEST or (sum(laps) < seconds and len(laps) < MOST):
        laps.append(_time(lap, clock))
    return median(laps) / count, count


def _time(lap: Callable[[], None], clock: Clock) -> float:
    begun = clock()
    lap()
    return clock() - begun
