"""Memory that runs out, and runs that hang: one line, and the rest goes on."""

import shutil
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults import made_up
from tests.faults.breaking import (
    AtChange,
    fork_workers,
    freeze,
    hold_python,
    limit_memory,
)
from tests.faults.commands import Command, Ended, contents
from tests.faults.conftest import ALONE, FOLDER, GENERATE
from tests.faults.made_up import made_up_command, make_up
from tests.faults.runs import finished, outcome, run_command

ABORTED = (-signal.SIGABRT, -signal.SIGSEGV)  # what C++ libraries do without memory
TOLD = ("memory", "was killed by SIG", "the --timeout")  # of a worker without memory
MB = 2**20


def check_message(ended: Ended) -> None:
    """Hold a command without memory to one line, unless a library has ended it."""
    if ended.code not in ABORTED:
        assert ended.code in (1, 2), ended
        assert "memory" in ended.error


@pytest.mark.parametrize("more", [0, MB // 2])
def test_memory_that_runs_out_is_one_line(
    more: int, data: Path, tmp_path: Path
) -> None:
    ended = GENERATE.run(tmp_path / "out", partial(limit_memory, more))
    assert ended.code == 1
    assert ended.error.startswith("memory is short: ")
    assert "run the same command again" in ended.error
    GENERATE.finish(tmp_path / "out")
    assert contents(tmp_path / "out") == contents(data)


def test_an_export_without_memory_says_so_and_never_hangs(
    data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    for more in (0, MB):
        ended = FOLDER.run(tmp_path / "out", partial(limit_memory, more))
        if ended.code != 0:  # it may have found room that was freed before
            check_message(ended)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_commands_under_any_limit_of_memory(
    name: str, data: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    command, out = ALONE[name], tmp_path / "out"
    shutil.copytree(data, tmp_path / "data")
    command.finish(out)
    whole = contents(out)
    for more in (*range(0, 4 * MB, MB // 4), *range(4 * MB, 64 * MB, 3 * MB)):
        shutil.rmtree(out)
        ended = command.run(out, partial(limit_memory, more))
        if ended.code != 0:
            check_message(ended)
            trials[f"{name} without memory"] += 1
        command.finish(out)
        assert contents(out) == whole


@pytest.mark.slow
@pytest.mark.parametrize("place", ["cells", "annotators"])
def test_workers_under_any_limit_of_memory(
    place: str, tmp_path: Path, trials: Counter[str]
) -> None:
    limits = "--part", "1/1", "--timeout", "1"  # a library without memory can hang
    command, out = run_command(tmp_path, *limits), tmp_path / "out"
    command.finish(out, fork_workers)
    whole = outcome(out)
    again = Command("reff_bench", ("retry", "{out}", "--device", "cpu"), command.loads)
    for more in range(0, 240 * MB, 12 * MB):
        shutil.rmtree(out)
        limit = AtChange(out / place, 1, partial(limit_memory, more))
        ended = command.run(out, fork_workers, limit)
        kept = finished(out)
        if ended.code != 0:
            assert "some runs failed" in ended.error
            told = [words for words in TOLD if words in ended.said]
            assert told, ended.said
            trials[f"worker without memory: {told[0]}"] += 1
            again.finish(out, fork_workers)  # what took too long waits for the word
        command.finish(out, fork_workers)
        assert whole.items() <= outcome(out).items()  # retry draws figures, too
        assert kept.items() <= finished(out).items()


def check_given_up(
    hang: Callable[[], object], moment: int, command: Command, out: Path
) -> None:
    """Let the worker of one run hang; the others are done, and `retry` does the rest.

    It hangs at some change in the folders of runs; the command has a time limit.
    """
    how = (make_up, fork_workers)
    hangs = AtChange(out / "cells", moment, hang, spared=True)
    ended = command.run(out, *how, hangs)
    assert ended.code == 1
    assert "some runs failed; 'reff-bench retry " in ended.error
    assert "FAILED, not done after 0.1 minutes, the --timeout" in ended.said
    again = command.run(out, *how)
    assert again.error == ended.error  # a run that took too long waits for the word
    retry = Command("reff_bench", ("retry", "{out}", "--device", "cpu"))
    retry.finish(out, *how)


@pytest.mark.slow
@pytest.mark.parametrize("hang", [freeze, hold_python])
def test_a_run_that_hangs_is_given_up(
    hang: Callable[[], object], tmp_path: Path
) -> None:
    command = made_up_command(tmp_path / "grid", "--timeout", "0.1")
    check_given_up(hang, 8, command, tmp_path / "out")
    command.finish(tmp_path / "whole", make_up, fork_workers)
    assert made_up.outcome(tmp_path / "out") == made_up.outcome(tmp_path / "whole")


@pytest.mark.slow
def test_runs_that_hang_at_any_change_are_given_up(
    tmp_path: Path, trials: Counter[str]
) -> None:
    command = made_up_command(tmp_path / "grid", "--timeout", "0.1")
    out = tmp_path / "out"
    command.finish(out, make_up, fork_workers)
    whole = made_up.outcome(out)
    for moment in range(1, 11):
        shutil.rmtree(out)
        check_given_up(freeze, moment, command, out)
        assert made_up.outcome(out) == whole
        trials["worker hangs"] += 1
