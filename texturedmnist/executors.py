"""Where work runs: in this process or in several local ones."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

POLL_SECONDS = 0.2

Task = TypeVar("Task")
Result = TypeVar("Result")
Report = Callable[[int], None]


class WorkerError(RuntimeError):
    """A worker process died (killed, or out of memory)."""


class StoppedError(Exception):
    """Raised inside a worker's work when the run is being stopped.

    No RuntimeError, which HDF5 raises too: nobody should take it for a failed write.
    """


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
        yield from _run_here(work, tasks, report)
    elif tasks:
        yield from _run_in_processes(work, tasks, min(jobs, len(tasks)), report)


def _run_here(
    work: Callable[[Task, Report], Result], tasks: Sequence[Task], report: Report
) -> Iterator[Result]:
    with _interrupts_noted() as caught:

        def report_or_stop(amount: int) -> None:
            report(amount)
            if caught:
                caught.clear()
                raise KeyboardInterrupt

        for task in tasks:
            yield work(task, report_or_stop)


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
        with _interrupts_held():
            pending = {pool.submit(_do, task) for task in tasks}
        while pending:
            ready, pending = wait(pending, POLL_SECONDS, FIRST_COMPLETED)
            seen, before = _read(done), seen
            report(seen - before)
            for future in ready:
                yield future.result()
        report(_read(done) - seen)
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process died (killed, or out of memory); run the same command "
            "again to continue, with fewer --jobs if memory is short"
        ) from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_noted() -> Iterator[list[int]]:
    """Keep a Ctrl-C back and note it, at the latest until the end.

    Raised wherever it happens to arrive, it gets lost in one case of five: h5py spends
    much time in clean-up code, out of which Python lets no exception. For the same
    reason half a pool of processes could be left behind.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    handler = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep a Ctrl-C back until all processes are started, and from them for good.

    They inherit the mask. It doesn't reach this process's other threads (BLAS's, say).
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    with _interrupts_noted():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _read(done: Any) -> int:  # noqa: ANN401
    # Without the lock: a worker that dies may hold it for ever.
    return int(done.get_obj().value)


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
