import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.python import run_python
from texturedmnist.common.executors import (
    Interrupt,
    LocalProcesses,
    Outcome,
    Report,
    WorkerError,
    interrupts_raised,
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
    assert list(run_tasks(local(jobs), square, [], report=ignore)) == []


@pytest.mark.parametrize(
    ("task", "error", "text"),
    [
        ("raise", ValueError, "as asked"),
        ("kill", WorkerError, "was killed by SIGKILL, perhaps for want"),
    ],
)
def test_the_first_failure_is_raised_and_stops_the_rest(
    task: str, error: type[Exception], text: str
) -> None:
    started = time.monotonic()
    with pytest.raises(error, match=text):
        list(run_tasks(local(2), troubled, ["sleep", task], report=ignore))
    assert time.monotonic() - started < 10  # the other one would take 30 s


def test_each_task_fails_alone_and_dead_workers_are_replaced() -> None:
    tasks = ["a", "kill", "raise", "b", "exit", "lock", "c"]
    start: list[int] = []
    outcomes: list[Outcome[str]] = list(
        LocalProcesses(2).run_each(troubled, tasks, report=ignore, started=start.append)
    )
    assert start == list(range(7))
    assert sorted(outcome.number for outcome in outcomes) == start
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


@pytest.mark.parametrize("count", [3, 8])
def test_workers_that_end_at_once_leave_no_one_waiting(count: int) -> None:
    """Two done in one breath, one task left: the other worker has to go."""
    outcomes = LocalProcesses(2).run_each(
        square, range(count), report=lambda *_: time.sleep(0.05)
    )
    assert sorted(outcome.number for outcome in outcomes) == list(range(count))


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


def carry(ballast: bytes, task: int, report: Report) -> int:
    report(1)
    return task * len(ballast)


# Pickled, it is more than any pipe holds.
LARGE = partial(carry, b"x" * 1_000_000)


def kill_at_start(trials: int) -> None:
    """Kill one of two workers in the first moments of its life, again and again."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    for trial in range(trials):
        before = set(children.read_text().split())

        def kill(before: set[str] = before, delay: float = trial % 10 / 50) -> None:
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                new = [int(n) for n in set(children.read_text().split()) - before]
                # Not multiprocessing's own process, which is there before the others.
                new = [n for n in new if b"spawn_main" in command(n)]
                if new:
                    time.sleep(delay)
                    os.kill(new[0], signal.SIGKILL)
                    return

        killer = threading.Thread(target=kill)
        killer.start()
        outcomes = list(LocalProcesses(2).run_each(LARGE, range(4), report=ignore))
        killer.join()
        assert sorted(outcome.number for outcome in outcomes) == [0, 1, 2, 3]
        killed = [o.error for o in outcomes if o.error is not None]
        assert all("was killed by SIGKILL" in str(error) for error in killed)


def command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no children in /proc")
@pytest.mark.parametrize("trials", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_a_worker_killed_while_it_starts_leaves_no_one_waiting(trials: int) -> None:
    """In a process of its own, which a hang can't outlive."""
    code = f"from tests.texturedmnist.test_executors import *; kill_at_start({trials})"
    run_python("-c", code, seconds=60 + 6 * trials)


UNGUARDED = """
from tests.texturedmnist.test_executors import *
try:
    list(run_tasks(local(2), square, [1, 2], report=ignore))
except WorkerError as error:
    print(error)
"""


@pytest.mark.parametrize("place", ["file", "standard input"])
def test_a_script_that_cannot_start_processes_is_told_why(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    script = str(tmp_path / "script.py") if place == "file" else "-"
    ended = run_python(script, given=UNGUARDED, seconds=60)
    text = "before it could work: a script that starts processes must be a file that "
    assert text in ended.stdout, ended.stderr
    assert "if __name__ == '__main__'" in ended.stdout


def slow_signal(task: int, report: Report) -> int:
    for _ in range(100):
        report(1)
        time.sleep(0.02)
    return task


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_stops_work_at_a_report(jobs: int, number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)]
    sent: list[int] = []

    def count(amount: int) -> None:
        if not sent:
            signal.raise_signal(number)
        sent.append(amount)

    with pytest.raises(KeyboardInterrupt) as caught, interrupts_raised():
        list(run_tasks(local(jobs), slow_signal, [1, 2], report=count))
    assert len(sent) < 100
    if number != signal.SIGINT:
        assert isinstance(caught.value, Interrupt)
        assert caught.value.number == number
    assert before == [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)]


def test_an_ignored_signal_stays_ignored() -> None:
    """As SIGHUP under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts_raised():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def mask(task: int, report: Report) -> list[bool]:
    held = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return [signal.SIGTERM in held, signal.getsignal(signal.SIGTERM) == signal.SIG_IGN]


def test_workers_leave_interrupts_to_their_parent() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert list(run_tasks(local(2), mask, [1, 2], report=ignore)) == [[False, True]] * 2
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
