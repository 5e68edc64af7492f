"""Asked to stop, a command says how to go on; then the same command finishes."""

import random
import shutil
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from reff_bench.train.checkpoint import load_checkpoint
from tests.faults.breaking import AtChange, fork_workers
from tests.faults.commands import Command, Ended, contents
from tests.faults.conftest import ALONE, BY_TWO, GENERATE
from tests.faults.runs import finished, outcome, run_command

SIGNS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMANDS = {**ALONE, **BY_TWO}
MOMENTS = 8  # of each signal


def check_message(ended: Ended, sign: signal.Signals) -> None:
    assert ended.code == 128 + sign
    assert ended.error.startswith("Interrupted: finished ")
    assert "un the same command again" in ended.error


@pytest.mark.parametrize("sign", SIGNS)
def test_stopped_and_run_again(
    sign: signal.Signals, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    stop = AtChange(out, 9, partial(signal.raise_signal, sign))
    check_message(GENERATE.run(out, stop), sign)
    assert not list(out.rglob("*.tmp"))
    GENERATE.finish(out)
    assert contents(out) == contents(data)


@pytest.mark.slow
@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("name", COMMANDS)
def test_stopped_at_random_moments_and_run_again(
    name: str, sign: signal.Signals, data: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    command, out = COMMANDS[name], tmp_path / "out"
    shutil.copytree(data, tmp_path / "data")
    started = time.monotonic()
    command.finish(out)
    seconds, expected = time.monotonic() - started, contents(out)
    draws = random.Random(f"{name} {sign}")
    while trials.total() < MOMENTS:
        shutil.rmtree(out)
        running = command.start(out)
        running.reaches(out.exists)
        time.sleep(draws.uniform(0, seconds / 2))
        running.send(draws.choice(("parent", "group")), sign)
        ended = running.end()
        if ended.code != 0:  # else it came too late
            check_message(ended, sign)
            assert not list(out.rglob("*.tmp"))
            trials[f"{name} stopped by {sign.name}"] += 1
        command.finish(out)
        assert contents(out) == expected


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Command, Path]:
    """A grid of many epochs, and what it leaves unbroken."""
    folder = tmp_path_factory.mktemp("long")
    command = run_command(folder, "--part", "1/1", "--set", "epochs=30")
    command.finish(folder / "out", fork_workers)
    return command, folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["parent", "group"])
@pytest.mark.parametrize("sign", SIGNS)
def test_a_run_that_is_stopped_leaves_a_checkpoint_and_goes_on(
    sign: signal.Signals,
    what: str,
    long_run: tuple[Command, Path],
    tmp_path: Path,
    trials: Counter[str],
) -> None:
    (command, whole), out = long_run, tmp_path / "out"
    draws, expected = random.Random(f"{sign} {what}"), outcome(whole)
    while trials.total() < MOMENTS / 2:
        running = command.start(out, fork_workers)
        running.reaches(lambda: any(out.glob("cells/*/checkpoint.pt")))
        time.sleep(draws.uniform(0, 2))
        running.send(what, sign)
        ended = running.end()
        kept = finished(out)
        if ended.code != 0:
            check_message(ended, sign)
            stopped = [load_checkpoint(path) for path in out.glob("cells/*/*.pt")]
            assert all(0 < one.position.epoch <= 30 for one in stopped)
            trials[f"run stopped by {sign.name}"] += bool(stopped)
        command.finish(out, fork_workers)
        assert outcome(out) == expected
        assert kept.items() <= finished(out).items()
        shutil.rmtree(out)
