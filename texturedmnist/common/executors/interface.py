"""What an executor is: where work runs, whatever does it."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerError(RuntimeError):
    """A worker died (killed, or out of memory).

    Attributes:
        reason: why.
        advice: what to do about it, where the caller can do something.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        """Keep both; together they are the message."""
        super().__init__(reason, advice)
        self.reason, self.advice = reason, advice

    def __str__(self) -> str:
        """Return the message."""
        return "; ".join(filter(None, (self.reason, self.advice)))


class TimeLimitError(WorkerError):
    """A task took longer than it may, and its worker was ended."""


class ExecutorError(ValueError):
    """Work can't be run where it was asked to; says why and what to do."""


class StoppedError(Exception):
    """Raised inside a worker's work when the run is being stopped.

    No RuntimeError, which HDF5 raises too: nobody should take it for a failed write.
    """


class Report(Protocol):
    """What work calls to say how far it is: that is where it can be stopped.

    Attributes:
        slot: number of the worker, in [0, jobs): which of several devices to use. 0
            where whatever runs the worker lets it see its own devices only.
    """

    slot: int

    def __call__(self, message: Any, /) -> None:  # noqa: ANN401 (work's own words)
        """Hand a picklable message to the process that started the work."""

    def fetch(self, path: Path) -> NDArray[np.uint8]:
        """Return the bytes of a file as the process that started the work sees it.

        Args:
            path: absolute.

        Returns:
            (bytes,) uint8, read-only, mapped or shared by the workers of a machine.
        """


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """What became of one task.

    Attributes:
        number: of the task.
        result: what the work returned, None if it failed.
        error: what it raised, or a `WorkerError`; None if it is done.
    """

    number: int
    result: Result | None
    error: BaseException | None


class Executor(Protocol):
    """Runs tasks, in whatever place."""

    def run_each(
        self,
        work: Callable[[Task, Report], Result],
        tasks: Sequence[Task],
        *,
        report: Callable[[int, Any], None],
        started: Callable[[int], None] = lambda number: None,
    ) -> Generator[Outcome[Result], None, None]:
        """Do every task; yield what became of each, in any order.

        A task that fails, or whose worker dies, doesn't touch the others. Closing the
        iterator stops everything, work at its next report.

        Args:
            work: called as work(task, report), picklable; sent once to each worker. It
                calls report(message) often.
            tasks: picklable.
            report: called in this process with a task's number and what its work
                reports.
            started: called in this process with the number of a task that begins, or
                begins again because its worker was lost.
        """


def run_tasks(
    executor: Executor,
    work: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    *,
    report: Callable[[int], None],
) -> Iterator[Result]:
    """Do every task and yield the results as they are done, in any order.

    The first failure stops the rest: what is being made is dropped by its maker, what
    has been made stays. The work (see `Executor`) reports amounts of work done. They
    are handed to `report` in this process; what a lost worker had done is taken back.

    Raises:
        WorkerError: a worker died.
    """
    counted: Counter[int] = Counter()

    def begin(number: int) -> None:
        if counted[number]:
            report(-counted.pop(number))

    def count(number: int, amount: int) -> None:
        counted[number] += amount
        report(amount)

    outcomes = executor.run_each(work, tasks, report=count, started=begin)
    try:
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
            yield outcome.result  # type: ignore[misc]  # a result wherever no error is
    finally:
        outcomes.close()
