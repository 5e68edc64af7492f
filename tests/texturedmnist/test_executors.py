import os
import signal
import time
from typing import Any

import pytest

from texturedmnist.executors import (
    LocalProcesses,
    Outcome,
    Report,
    StoppedError,
    WorkerError,
    local,
    run_tasks,
)


def square(task: int, report: Report) -> int:
    report(1)
    return task * task


def troubled(task: str, report: Report) -> str:
    """Fails in the way that the task names."""
    if task == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "exit":
        os._exit(3)
    if task == "raise":
        raise ValueError("as asked")
    if task == "lock":
        raise UnsendableError(lambda: None)
    if task == "sleep":
        for _ in range(600):
            time.sleep(0.05)
            report(1)
    return f"{task} by {report.slot}"


class UnsendableError(ValueError):
    """An error that holds what can't be pickled."""


def ignore(*message: Any) -> None:
    pass


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_task_is_done_once_and_every_report_arrives(jobs: int) -> None:
    reports: list[int] = []
    results = run_tasks(local(jobs), square, range(7), report=reports.append)
    assert sorted(results) == [n * n for n in range(7)]
    assert reports == [1] * 7


def test_no_tasks_start_no_process() -> None:
    assert list(run_tasks(local(4), square, [], report=ignore)) == []


def test_the_first_failure_stops_the_rest() -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match="as asked"):
        list(run_tasks(local(2), troubled, ["sleep", "raise"], report=ignore))
    assert time.monotonic() - started < 10


def test_a_killed_worker_is_named_and_stops_the_rest() -> None:
    with pytest.raises(WorkerError, match="was killed by SIGKILL, perhaps for want"):
        list(run_tasks(local(2), troubled, ["sleep", "kill"], report=ignore))


def test_each_task_fails_alone_and_dead_workers_are_replaced() -> None:
    tasks = ["a", "kill", "raise", "b", "exit", "lock", "c"]
    begun: list[int] = []
    outcomes: list[Outcome[str]] = list(
        LocalProcesses(2).run_each(troubled, tasks, report=ignore, started=begun.append)
    )
    assert begun == list(range(7))
    assert sorted(outcome.number for outcome in outcomes) == begun
    errors = {tasks[o.number]: str(o.error) for o in outcomes if o.error is not None}
    assert set(errors) == {"kill", "raise", "exit", "lock"}
    assert "was killed by SIGKILL" in errors["kill"]
    assert "ended with exit code 3" in errors["exit"]
    assert errors["raise"] == "as asked"
    assert errors["lock"].startswith("UnsendableError: <function")
    slots = {str(o.result)[-1] for o in outcomes if o.error is None}
    assert slots <= {"0", "1"}


def test_closing_the_iterator_stops_the_workers() -> None:
    started = time.monotonic()
    outcomes = LocalProcesses(2).run_each(troubled, ["a", "sleep"], report=ignore)
    assert next(outcomes).result == "a by 0"
    outcomes.close()
    assert time.monotonic() - started < 10


def test_work_is_stopped_where_it_reports() -> None:
    from multiprocessing import Pipe

    from texturedmnist.executors.worker import _Piped

    ours, theirs = Pipe()
    report = _Piped(theirs, 0)
    report("fine")
    assert ours.recv() == ("report", "fine")
    ours.send(None)
    with pytest.raises(StoppedError):
        report("too late")


@pytest.mark.parametrize("count", [3, 5, 8])
def test_workers_that_end_at_once_leave_no_one_waiting(count: int) -> None:
    """Two done in one breath, one task left: the other worker has to go."""
    outcomes = LocalProcesses(2).run_each(
        square, range(count), report=lambda *_: time.sleep(0.05)
    )
    assert sorted(outcome.number for outcome in outcomes) == list(range(count))


def test_the_callers_interrupt_mask_is_as_it_was() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert sorted(run_tasks(local(2), square, [1, 2], report=lambda _: None)) == [1, 4]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def interrupt_in_clean_up(task: int, report: Report) -> int:
    class Noisy:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    noisy = Noisy()
    del noisy
    report(1)
    return task


def test_ctrl_c_is_not_lost_in_clean_up_code() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        list(run_tasks(local(1), interrupt_in_clean_up, [1, 2], report=seen.append))
    assert seen == [1]
    assert signal.getsignal(signal.SIGINT) is before
