import os
import signal
from pathlib import Path

import pytest

from texturedmnist.executors import Report, WorkerError, run_tasks


def square(task: int, report: Report) -> int:
    report(task)
    return task * task


def fail_at_three(task: int, report: Report) -> int:
    report(1)
    if task == 3:
        raise ValueError("task 3 went wrong")
    return task


def die_at_two(task: int, report: Report) -> int:
    report(1)
    if task == 2:
        os._exit(9)
    return task


def work_on_until_stopped(task: Path, report: Report) -> None:
    if task.name == "fails":
        raise ValueError("this one fails")
    for _ in range(3000):
        report(1)
        signal.sigtimedwait([], 0.01)
    task.touch()


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_results_come_and_progress_adds_up(jobs: int) -> None:
    seen: list[int] = []
    done = run_tasks(square, range(20), jobs=jobs, report=seen.append)
    assert sorted(done) == [number**2 for number in range(20)]
    assert sum(seen) == sum(range(20))


@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_to_do_is_done(jobs: int) -> None:
    assert list(run_tasks(square, [], jobs=jobs, report=print)) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_exception_in_the_work_reaches_the_caller(jobs: int) -> None:
    with pytest.raises(ValueError, match="task 3 went wrong"):
        list(run_tasks(fail_at_three, range(8), jobs=jobs, report=lambda _: None))


def test_a_failure_stops_the_rest_in_the_middle_of_their_work(tmp_path: Path) -> None:
    tasks = [tmp_path / name for name in ("slow", "fails", "slow_too")]
    with pytest.raises(ValueError, match="this one fails"):
        list(run_tasks(work_on_until_stopped, tasks, jobs=2, report=lambda _: None))
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(WorkerError, match=r"a worker process died .*fewer --jobs"):
        list(run_tasks(die_at_two, range(4), jobs=2, report=lambda _: None))


def test_the_callers_interrupt_mask_is_as_it_was() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert sorted(run_tasks(square, [1, 2], jobs=2, report=lambda _: None)) == [1, 4]
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
        list(run_tasks(interrupt_in_clean_up, [1, 2], jobs=1, report=seen.append))
    assert seen == [1]
    assert signal.getsignal(signal.SIGINT) is before
