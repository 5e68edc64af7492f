"""Executors of this machine: this process, or several."""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.executors.interface import (
    Executor,
    Outcome,
    Report,
    Result,
    Task,
    TimeLimitError,
    WorkerError,
)
from texturedmnist.common.executors.interrupts import (
    Interrupt,
    interrupts_held,
    interrupts_noted,
)
from texturedmnist.common.executors.worker import map_file, serve

POLL_SECONDS = 1.0
START_SECONDS = 300.0  # that a process may take to start, whatever a task may take
GRACE_SECONDS = 10.0  # for a worker to come to its next report and stop there


def local(jobs: int) -> Executor:
    """Return this process for one job, else so many processes."""
    return ThisProcess() if jobs == 1 else LocalProcesses(jobs)


class ThisProcess:
    """Runs tasks one after another, here: work that kills its worker ends it all."""

    def run_each(
        self,
        work: Callable[[Task, Report], Result],
        tasks: Sequence[Task],
        *,
        report: Callable[[int, Any], None],
        started: Callable[[int], None] = lambda number: None,
    ) -> Generator[Outcome[Result], None, None]:
        """Do every task; see `Executor`. Interrupts are raised at the next report."""
        with interrupts_noted() as caught:
            for number, task in enumerate(tasks):
                started(number)
                try:
                    result = work(task, _Direct(number, report, caught))
                except Exception as error:  # the caller decides what it means
                    yield Outcome(number, None, error)
                else:
                    yield Outcome(number, result, None)


class _Direct:
    """Reports inside one process, and stops where an interrupt was noted."""

    slot = 0

    def __init__(
        self, number: int, report: Callable[[int, Any], None], caught: list[int]
    ) -> None:
        self._number, self._report, self._caught = number, report, caught

    def __call__(self, message: Any, /) -> None:  # noqa: ANN401
        self._report(self._number, message)
        if self._caught:
            number = self._caught[0]
            self._caught.clear()
            raise Interrupt(number)

    def fetch(self, path: Path) -> NDArray[np.uint8]:
        return map_file(path)


@dataclass(frozen=True, slots=True)
class LocalProcesses:
    """Runs tasks in processes of their own; one that dies is replaced.

    Attributes:
        jobs: number of processes, started only as far as there are tasks.
        timeout: seconds after which a task that isn't done is given up and its process
            ended, whatever it hangs in; None: it may take as long as it takes.
    """

    jobs: int
    timeout: float | None = None

    def run_each(
        self,
        work: Callable[[Task, Report], Result],
        tasks: Sequence[Task],
        *,
        report: Callable[[int, Any], None],
        started: Callable[[int], None] = lambda number: None,
    ) -> Generator[Outcome[Result], None, None]:
        """Do every task; see `Executor`."""
        todo = deque(range(len(tasks)))
        pickled = bytes(ForkingPickler.dumps(work))  # once for all
        workers: dict[int, _Worker] = {}
        leaving: list[_Worker] = []
        try:
            while todo or workers:
                # All are started before any is waited for: they start at once.
                for slot in range(self.jobs):
                    idle = sum(worker.task is None for worker in workers.values())
                    if slot not in workers and idle < len(todo):
                        with interrupts_held():
                            workers[slot] = _Worker(pickled, slot)
                for worker in workers.values():
                    if todo and worker.task is None:
                        started(todo[0])
                        worker.begin(todo[0], tasks[todo.popleft()])
                received = [
                    worker.receive(report) for worker in _wait(workers.values())
                ]
                late = [worker.give_up(self.timeout) for worker in workers.values()]
                yield from (
                    outcome for outcome in received + late if outcome is not None
                )
                for worker in list(workers.values()):
                    if worker.dead or (worker.task is None and not todo):
                        leaving.append(workers.pop(worker.slot))
                        leaving[-1].let_go()
        finally:
            _stop(list(workers.values()))
            _wait_for_ends(leaving)


class _Worker:
    """One process as its parent sees it: at most one task at a time."""

    def __init__(self, work: bytes, slot: int) -> None:
        # Spawned, not forked: a fork copies held locks of threads (BLAS, HDF5, tqdm).
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.slot, self.dead, self.ready = slot, False, False
        self.task: int | None = None
        self._started = 0.0
        self._work: bytes | None = work
        # Not a daemon: work may have processes of its own, such as data loaders.
        # What is large follows over our pipe: if the process dies while it starts,
        # multiprocessing would wait without an end to write to it.
        self.process = context.Process(target=serve, args=(theirs, slot))
        self.process.start()
        theirs.close()  # so that the process's end is the pipe's end

    def begin(self, number: int, task: object) -> None:
        """Start a task; before the first one, hand over the work."""
        self.task, self._started = number, time.monotonic()
        try:
            if self._work is not None:
                self.pipe.send_bytes(self._work)
                self._work = None
            self.pipe.send((task,))
        except OSError:
            pass  # it died between two tasks: receive finds out
        except BaseException:
            self.process.kill()  # it would wait for the rest
            raise

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
            error = _death(self.process.exitcode, started=self.ready)
            return Outcome(number, None, error)
        if not self.ready:
            self.ready, self._started = True, time.monotonic()
        if kind == "broken":
            self.dead = True
            self.process.join()
        if number is None or kind == "ready":
            return None
        if kind == "report":
            report(number, content)
            return None
        self.task = None
        done = kind == "done"
        return Outcome(number, content if done else None, None if done else content)

    def give_up(self, timeout: float | None) -> Outcome[Any] | None:
        """End the process if its task takes longer; return the task's outcome."""
        if timeout is None or self.task is None or self.dead:
            return None
        limit = timeout if self.ready else max(timeout, START_SECONDS)
        if time.monotonic() - self._started < limit:
            return None
        self.process.kill()
        self.process.join()
        self.dead = True
        words = f"not done after {timeout / 60:g} minutes, the --timeout"
        return Outcome(self.task, None, TimeLimitError(words))

    def let_go(self) -> None:
        """Let the process end; it takes a while to clear up."""
        with suppress(OSError):
            self.pipe.send(None)
        self.pipe.close()


def _wait(workers: Iterable[_Worker]) -> list[_Worker]:
    """Return the workers that have sent something, or are dead."""
    by_pipe = {worker.pipe: worker for worker in workers}
    ready = wait_for(list(by_pipe), POLL_SECONDS)
    readable = [worker for pipe, worker in by_pipe.items() if pipe in ready]
    if readable:
        return readable
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


def _wait_for_ends(workers: Sequence[_Worker]) -> None:
    """Wait for processes that were let go, all at once; kill those that hang."""
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _death(exitcode: int | None, *, started: bool) -> WorkerError:
    """Return how a process ended that shouldn't; `started`: it came to the work."""
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
        how = f"was killed by {name}{hint}"
    else:
        how = f"ended with exit code {exitcode}"
        if not started:
            how += (
                " before it could work: a script that starts processes must be a file "
                "that does its work under `if __name__ == '__main__':`, or use one job"
            )
    return WorkerError(
        f"a worker process {how}",
        "run the same command again to continue, with fewer --jobs if memory is short",
    )
