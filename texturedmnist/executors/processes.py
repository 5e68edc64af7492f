"""Where work runs: in this process or in several local ones."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any, Generic, Protocol, TypeVar

from texturedmnist.executors.interrupts import interrupts_held, interrupts_noted

POLL_SECONDS = 1.0
GRACE_SECONDS = 10.0  # for a worker to come to its next report and stop there

Task = TypeVar("Task")
Result = TypeVar("Result")


class Report(Protocol):
    """What work calls to say how far it is: that is where it can be stopped.

    Attributes:
        slot: number of the worker, in [0, jobs): which of several devices to use.
    """

    slot: int

    def __call__(self, message: Any, /) -> None:  # noqa: ANN401 (work's own words)
        """Hand a picklable message to the process that started the work."""


class WorkerError(RuntimeError):
    """A worker process died (killed, or out of memory)."""


class StoppedError(Exception):
    """Raised inside a worker's work when the run is being stopped.

    No RuntimeError, which HDF5 raises too: nobody should take it for a failed write.
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


def run_tasks(
    work: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    report: Callable[[Any], None],
) -> Iterator[Result]:
    """Do every task and yield the results as they are done, in any order.

    The first failure stops the rest: what is being made is dropped by its maker, what
    has been made stays.

    Args:
        work: called as work(task, report); picklable when jobs > 1 and sent once to
            each worker. It calls report(message) often: that is where it is stopped.
        tasks: picklable when jobs > 1.
        jobs: number of processes; 1 works in this one.
        report: called in this process with what the work reports.

    Raises:
        WorkerError: a worker process died.
    """
    if jobs == 1 or len(tasks) == 1:
        yield from _run_here(work, tasks, report)
        return
    outcomes = run_each(
        work, tasks, jobs=jobs, report=lambda number, message: report(message)
    )
    for outcome in outcomes:
        if outcome.error is not None:
            outcomes.close()
            raise outcome.error
        yield outcome.result  # type: ignore[misc]  # a result wherever no error is


def run_each(
    work: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    report: Callable[[int, Any], None],
    started: Callable[[int], None] = lambda number: None,
) -> Generator[Outcome[Result], None, None]:
    """Do every task in processes of their own; yield what became of each, in any order.

    A task that fails, or kills its worker, doesn't touch the others: a worker that
    died is replaced. Closing the iterator stops everything.

    Args:
        work: as for `run_tasks`; always picklable.
        tasks: picklable.
        jobs: number of processes, started only as far as there are tasks.
        report: called in this process with a task's number and what its work reports.
        started: called in this process with the number of a task that begins.
    """
    todo = deque(range(len(tasks)))
    workers: dict[int, _Worker] = {}
    try:
        while todo or workers:
            for slot in range(jobs):
                if todo and slot not in workers:
                    with interrupts_held():
                        workers[slot] = _Worker(work, slot)
                if todo and workers[slot].task is None:
                    started(todo[0])
                    workers[slot].begin(todo[0], tasks[todo.popleft()])
            for worker in _wait(workers.values()):
                outcome = worker.receive(report)
                if outcome is not None:
                    yield outcome
            for worker in list(workers.values()):
                if worker.dead or (worker.task is None and not todo):
                    workers.pop(worker.slot).end()
    finally:
        _stop(list(workers.values()))


def _run_here(
    work: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    report: Callable[[Any], None],
) -> Iterator[Result]:
    with interrupts_noted() as caught:
        for task in tasks:
            yield work(task, _Direct(report, caught))


class _Direct:
    """Reports inside one process, and stops where a Ctrl-C was noted."""

    slot = 0

    def __init__(self, report: Callable[[Any], None], caught: list[int]) -> None:
        self._report, self._caught = report, caught

    def __call__(self, message: Any, /) -> None:  # noqa: ANN401
        self._report(message)
        if self._caught:
            self._caught.clear()
            raise KeyboardInterrupt


class _Worker:
    """One process as its parent sees it: at most one task at a time."""

    def __init__(self, work: Callable[[Any, Report], Any], slot: int) -> None:
        # Spawned, not forked: a fork copies held locks of threads (BLAS, HDF5, tqdm).
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.slot, self.dead = slot, False
        self.task: int | None = None
        # Not a daemon: work may have processes of its own, such as data loaders.
        self.process = context.Process(target=_serve, args=(theirs, work, slot))
        self.process.start()
        theirs.close()  # so that the process's end is the pipe's end

    def begin(self, number: int, task: object) -> None:
        """Start a task."""
        self.task = number
        with suppress(OSError):  # it died between two tasks: receive finds out
            self.pipe.send((task,))

    def receive(self, report: Callable[[int, Any], None]) -> Outcome[Any] | None:
        """Take one message; return the task's outcome if it was its last."""
        number = self.task
        try:
            kind, content = self.pipe.recv()
        except (EOFError, OSError):
            self.dead = True
            self.process.join()
            if number is None:
                return None
            return Outcome(number, None, WorkerError(_how(self.process.exitcode)))
        if number is None:
            return None
        if kind == "report":
            report(number, content)
            return None
        self.task = None
        done = kind == "done"
        return Outcome(number, content if done else None, None if done else content)

    def end(self) -> None:
        """Let the process go and wait for it."""
        with suppress(OSError):
            self.pipe.send(None)
        self.pipe.close()
        self.process.join(GRACE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _wait(workers: Iterable[_Worker]) -> list[_Worker]:
    """Return the workers that have something to say, or are dead."""
    by_pipe = {worker.pipe: worker for worker in workers}
    ready = wait_for(list(by_pipe), POLL_SECONDS)
    said = [worker for pipe, worker in by_pipe.items() if pipe in ready]
    if said:
        return said
    # A process's own children can keep its pipe open after it was killed.
    dead = [worker for worker in by_pipe.values() if not worker.process.is_alive()]
    for worker in dead:
        worker.pipe.close()
    return dead


def _stop(workers: Sequence[_Worker]) -> None:
    """Stop every worker at its next report, or by force when none comes."""
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        with suppress(OSError):
            worker.pipe.send(None)
    running = list(workers)
    while running and time.monotonic() < deadline:
        for worker in _wait(running):
            worker.receive(lambda number, message: None)
        running = [worker for worker in running if not worker.dead]
    for worker in running:
        worker.process.kill()
        worker.process.join()
    for worker in workers:
        worker.pipe.close()


def _how(exitcode: int | None) -> str:
    """Say how a process ended that shouldn't have."""
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
        how = f"was killed by {name}{hint}"
    else:
        how = f"ended with exit code {exitcode}"
    return (
        f"a worker process {how}; run the same command again to continue, with fewer "
        "--jobs if memory is short"
    )


def _serve(pipe: Connection, work: Callable[[Any, Report], Any], slot: int) -> None:
    """Do tasks as they come; leave Ctrl-C to the parent and don't outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    report = _Piped(pipe, slot)
    with suppress(StoppedError, EOFError, BrokenPipeError, ConnectionResetError):
        while (message := pipe.recv()) is not None:
            try:
                reply = "done", work(message[0], report)
            except StoppedError:
                raise
            except Exception as error:  # the parent decides what it means
                reply = "failed", _sendable(error)
            pipe.send(reply)


class _Piped:
    """Reports from a worker process to its parent."""

    def __init__(self, pipe: Connection, slot: int) -> None:
        self.slot, self._pipe = slot, pipe

    def __call__(self, message: Any, /) -> None:  # noqa: ANN401
        if self._pipe.poll():  # while work is under way only the call to stop comes
            raise StoppedError
        self._pipe.send(("report", message))


def _sendable(error: Exception) -> Exception:
    """Return the error itself if it survives the way, else its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a foreign __reduce__ raises
        return WorkerError(f"{type(error).__name__}: {error}")
    return error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            wait_for([parent.sentinel])
        os._exit(1)
