"""Killed at any moment and run again, a command ends in what an unbroken run gives."""

import random
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.breaking import AtChange, die
from tests.faults.commands import Command, contents
from tests.faults.conftest import ALONE, BY_TWO, EXPORT, by

MORE = {**BY_TWO, "export parquet by two": by(2, *EXPORT, "parquet")}
MANY = 20


@dataclass(frozen=True, slots=True)
class Case:
    """A command, all that it makes when nobody breaks it, and how long that takes."""

    command: Command
    out: Path
    whole: dict[str, bytes]
    seconds: float

    @classmethod
    def of(cls, command: Command, data: Path, folder: Path) -> "Case":
        """Run a command unbroken."""
        shutil.copytree(data, folder / "data")
        started = time.monotonic()
        command.finish(folder / "out")
        seconds = time.monotonic() - started
        case = cls(command, folder / "out", contents(folder / "out"), seconds)
        shutil.rmtree(case.out)
        return case

    def check(self) -> None:
        """Finish what was broken; what was finished before is as it was."""
        kept = finished(self.out)
        self.command.finish(self.out)
        assert contents(self.out) == self.whole
        assert kept.items() <= finished(self.out).items()
        shutil.rmtree(self.out)


def finished(out: Path) -> dict[Path, int]:
    """The files of samples, and when each was written."""
    return {
        path: path.stat().st_mtime_ns
        for path in out.rglob("*[0-9].*")
        if path.suffix in (".h5", ".png", ".parquet")
    }


@pytest.mark.parametrize("name", ALONE)
def test_killed_twice_and_run_again(name: str, data: Path, tmp_path: Path) -> None:
    case = Case.of(ALONE[name], data, tmp_path)
    for number in (9, 6):  # the second time it finds what the first has left
        ended = case.command.run(case.out, AtChange(case.out, number, die))
        assert ended.code == -signal.SIGKILL
    case.check()


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_killed_before_each_change_and_run_again(
    name: str, data: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    case = Case.of(ALONE[name], data, tmp_path)
    step = max(1, len(case.whole) // 20)  # the export in a folder has 208 files
    number, code = 1, -signal.SIGKILL
    while code == -signal.SIGKILL:
        code = case.command.run(case.out, AtChange(case.out, number, die)).code
        number += step
        case.check()
        trials[f"{name} killed"] += code == -signal.SIGKILL
    assert code == 0
    assert trials.total() >= MANY


@pytest.mark.slow
@pytest.mark.parametrize("what", ["parent", "worker"])
@pytest.mark.parametrize("name", MORE)
def test_killed_at_random_moments_and_run_again(
    name: str, what: str, data: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    case = Case.of(MORE[name], data, tmp_path)
    draws = random.Random(len(name))
    while trials.total() < MANY:
        running = case.command.start(case.out)
        time.sleep(draws.uniform(0, case.seconds))
        hit = running.send(what, signal.SIGKILL)
        ended = running.end()
        trials[f"{name}, {what} killed"] += hit and ended.code != 0
        case.check()
