"""Make many images in order, in this process or in several."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from multiprocessing import current_process
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.executors import LocalProcesses, Outcome, Report, WorkerError
from texturedmnist.sources.errors import SourceError

Make = Callable[[], NDArray[np.uint8]]
Made = tuple[NDArray[np.uint8], str]
Result = TypeVar("Result")
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
    if jobs <= 1:
        yield from map(_make, makes)
        return
    outcomes = LocalProcesses(jobs).run_each(_make, makes, report=_ignore)
    with closing(outcomes):
        yield from _in_order(outcomes)


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


def _make(make: Make, _: Report | None = None) -> Made:
    pixels = np.ascontiguousarray(make())
    return pixels, hashlib.sha256(pixels.data).hexdigest()


def _ignore(number: int, message: Any) -> None:  # noqa: ANN401 (an executor's own)
    """Take what work reports; decoding reports nothing."""


def _in_order(outcomes: Generator[Outcome[Result], None, None]) -> Iterator[Result]:
    early: dict[int, Result] = {}
    wanted = 0
    for outcome in outcomes:
        if isinstance(outcome.error, WorkerError):
            raise SourceError(f"decoding textures: {outcome.error}") from None
        if outcome.error is not None:
            raise outcome.error
        early[outcome.number] = outcome.result  # type: ignore[assignment]
        while wanted in early:
            yield early.pop(wanted)
            wanted += 1
