"""Clocks: a wall's, and the processor's for a machine on which others work too."""

import resource
import time
from collections.abc import Callable, Mapping


def processor_seconds() -> float:
    """Return the processor's seconds of this process and of all that it has ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


CLOCKS: Mapping[str, Callable[[], float]] = {
    "wall": time.perf_counter,
    "processor": processor_seconds,
}
SHARED = (
    "Others worked on the machine: times are the processor's, summed over processes, "
    "where no more is said."
)
