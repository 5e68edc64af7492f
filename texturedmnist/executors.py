"""Where work runs: in this process or in several local ones."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

POLL_SECONDS = 0.2

Task = TypeVar("Task")
Result = TypeVar("Result")
Report = Callable[[int], None]


class WorkerError(RuntimeError):
    """A worker process died (killed, or out of memory)."""


class StoppedError(RuntimeError):
    """Raised inside a worker's work when the run is being stopped."""


def run_tasks(
    work: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    report: Report,
) -> Iterator[Result]:
    """Do every task and yield the results as they are done, in any order.

    The first failure stops the rest: what is being made is dropped by its maker, what
    has been made stays.

    Args:
        work: called as work(task, report); picklable when jobs > 1 and sent once to
            each worker. It calls report(n) often: that is where it can be stopped.
        tasks: picklable when jobs > 1.
        jobs: number of processes; 1 works in this one.
        report: called in this process with the amounts that the work reports.

    Raises:
        WorkerError: a worker process died.
    """
    if jobs == 1 or len(tasks) == 1:
        for task in tasks:
            yield work(task, report)
    elif tasks:
        yield from _run_in_processes(work, tasks, min(jobs, len(tasks)), report)


def _run_in_processes(
    work: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    jobs: int,
    report: Report,
) -> Iterator[Result]:
    # Spawned, not forked: a fork copies held locks of threads (BLAS, HDF5, tqdm).
    context = multiprocessing.get_context("spawn")
    stop, done = context.Event(), context.Value("q", 0)
    pool = ProcessPoolExecutor(
        jobs, context, initializer=_start_worker, initargs=(work, stop, done)
    )
    seen = 0
    try:
        pending = {pool.submit(_do, task) for task in tasks}
        while pending:
            ready, pending = wait(pending, POLL_SECONDS, FIRST_COMPLETED)
            seen, before = done.value, seen
            report(seen - before)
            for future in ready:
                yield future.result()
        report(done.value - seen)
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process died (killed, or out of memory); run the same command "
            "again to continue, with fewer --jobs if memory is short"
        ) from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


# A worker process holds the one piece of work that it was started for.
_worker: dict[str, Callable[[Any], Any]] = {}


def _start_worker(
    work: Callable[[Task, Report], Result],
    stop: Any,  # noqa: ANN401 (multiprocessing's proxies have no public types)
    done: Any,  # noqa: ANN401
) -> None:
    """Receive the work; leave Ctrl-C to the parent and don't outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def report(amount: int) -> None:
        if stop.is_set():
            raise StoppedError
        with done.get_lock():
            done.value += amount

    _worker["do"] = lambda task: work(task, report)


def _do(task: Any) -> Any:  # noqa: ANN401 (any task, any result)
    return _worker["do"](task)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            wait_for([parent.sentinel])
        os._exit(1)
