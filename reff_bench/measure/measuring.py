"""The pace of one kind of work on one device: `measure`."""

import time
from functools import partial

import torch

from reff_bench.cost import Kind, Pace
from reff_bench.grid import Cell
from reff_bench.measure.laps import SMALLEST, Clock, find_pace
from reff_bench.measure.work import PREPARE, SEED
from reff_bench.results import CellError
from reff_bench.train import Machine, find_machine, limited


def measure(kind: Kind, cell: Cell, device: str, seconds: float = 10.0) -> Pace:
    """Return how long one kind of work takes, on random images.

    Where a whole batch would take too long (a large net on a CPU), fewer images are
    timed and their time is scaled up; the source says so.

    Args:
        kind: which.
        cell: one that has this work.
        device: `auto`, `cpu`, `cuda` or one such as `cuda:1`.
        seconds: to spend, roughly.

    Raises:
        CellError: the work can't be done on this device.
    """
    machine = find_machine(device, cell.precision)
    try:
        with limited(cell.threads, SEED, machine.device, search=True):
            prepared = PREPARE[kind.what](kind, cell, machine)
            each, count = find_pace(
                prepared.lap,
                prepared.most,
                seconds,
                # A GPU is fast with whole batches; compiling takes long for each size.
                least=prepared.most if machine.is_gpu or cell.compile else SMALLEST,
                clock=_clock(machine, cell.threads),
            )
    except (RuntimeError, ValueError) as error:
        raise CellError(f"measuring {kind.what} of {cell.method}: {error}") from None
    of = f" of {prepared.most}" if count < prepared.most else ""
    return Pace(each * prepared.per_unit, f"measured, {count}{of} images at once")


def device_name(device: str) -> str:
    """Return the name of a device, as records have it."""
    return find_machine(device).describe()


def _clock(machine: Machine, threads: int) -> Clock:
    if not machine.is_gpu:
        # One thread's own time: what else runs on the machine doesn't count.
        return time.process_time if threads == 1 else time.perf_counter
    return partial(_gpu_clock, machine.device)


def _gpu_clock(device: torch.device) -> float:
    torch.cuda.synchronize(device)
    return time.perf_counter()
