"""Make many images in order, in this process or in several."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context

import numpy as np
from numpy.typing import NDArray

from texturedmnist.executors.interrupts import leave_interrupts
from texturedmnist.sources.errors import SourceError

Make = Callable[[], NDArray[np.uint8]]
Made = tuple[NDArray[np.uint8], str]
FEWEST_PER_PROCESS = 16  # a process takes longer to start than so many to decode


def produce(makes: Sequence[Make], jobs: int) -> Iterator[Made]:
    """Call each function; yield its pixels and their sha256 (hex), in order.

    Few images are held at a time, however slow the consumer is.

    Args:
        makes: picklable functions, each returning (H, W, 3) uint8.
        jobs: processes; for few images fewer are started.

    Raises:
        SourceError: an image can't be made, or a process died.
    """
    jobs = min(jobs, len(makes) // FEWEST_PER_PROCESS)
    if jobs > 1:
        return _in_processes(makes, jobs)
    return map(_make, makes)


def refuse_import() -> None:
    """Refuse to work in a worker that is still importing the main script.

    It would wait for the very process that waits for it.

    Raises:
        SourceError: the script lacks the guard that spawned processes need.
    """
    if getattr(current_process(), "_inheriting", False):
        raise SourceError(
            "this script starts processes, which import it again: put what it does "
            "under `if __name__ == '__main__':`"
        )


def _make(make: Make) -> Made:
    pixels = np.ascontiguousarray(make())
    return pixels, hashlib.sha256(pixels.data).hexdigest()


def _in_processes(makes: Sequence[Make], jobs: int) -> Iterator[Made]:
    waiting: deque[Future[Made]] = deque()
    try:
        # Spawned: a fork of a process with threads (torch's, say) may hang.
        # Interrupts are for this process alone; it ends the others.
        with ProcessPoolExecutor(
            jobs,
            mp_context=get_context("spawn"),
            initializer=leave_interrupts,
        ) as pool:
            for make in makes:
                waiting.append(pool.submit(_make, make))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    except BrokenProcessPool:
        raise SourceError(
            "a process that decodes textures died. A script that starts processes "
            "must be a file that does its work under `if __name__ == '__main__':`; "
            "where it is one, memory may be short: try one job (--jobs 1)"
        ) from None
