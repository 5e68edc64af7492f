"""A grid that is killed at any moment and run again ends as an unbroken one does."""

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.breaking import AtChange, die, fork_workers
from tests.faults.commands import Command
from tests.faults.runs import GRID, finished, outcome, run_command, stage

MANY = 20
# Methods with a second stage, or with a state of their own, on data with all groups.
STAGED = (
    GRID.replace("[reff, reff_l1]", "[jtt, dfr, lff, group_dro]")
    .replace("annotations: [1]", "annotations: [all]")
    .replace("bg: 0.0", "bg: 0.5")
    .replace("val: 20", "val: 120")
)
STAGES = ("annotator", "epochs", "evaluation")
REPORT = {"tables": "tables/*", "figures": "figures/*", "page": "report.html"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Train and evaluate both runs; tables and page come with the whole."""
    return run_command(tmp_path_factory.mktemp("grid"), "--part", "1/1")


@pytest.fixture(scope="module")
def whole(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command leaves unbroken."""
    out = tmp_path_factory.mktemp("whole") / "out"
    command.finish(out, fork_workers)
    return out


def check(command: Command, out: Path, whole: dict[str, object]) -> None:
    """Finish what was broken; what was finished before is as it was."""
    kept = finished(out)
    command.finish(out, fork_workers)
    assert outcome(out) == whole
    assert kept.items() <= finished(out).items()
    shutil.rmtree(out)


@pytest.mark.parametrize("what", ["parent", "worker", "group"])
@pytest.mark.parametrize("at", STAGES)
def test_killed_at_random_moments_of_a_stage(
    at: str,
    what: str,
    command: Command,
    whole: Path,
    tmp_path: Path,
    trials: Counter[str],
) -> None:
    expected, out = outcome(whole), tmp_path / "out"
    draws = random.Random(f"{at} {what}")
    while trials[f"{what} killed in the stage {at}"] < MANY / 3:
        running = command.start(out, fork_workers)
        running.reaches(lambda: _reached(out, at))
        time.sleep(draws.uniform(0, 2))
        reached = stage(out)  # a parent goes on without a worker
        hit = running.send(what, signal.SIGKILL)
        running.end()
        trials[f"{what} killed in the stage {reached}"] += hit
        check(command, out, expected)


def _reached(out: Path, at: str) -> bool:
    start = any(out.glob("annotators/*"))
    return start and stage(out) in STAGES[STAGES.index(at) :]


def test_workers_killed_before_each_change(
    command: Command, whole: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    for _ in kill_before_changes(command, whole, tmp_path / "out", every=7):
        trials["worker killed before a change"] += 1


def test_workers_killed_in_any_stage_of_a_method(
    tmp_path: Path, trials: Counter[str]
) -> None:
    command = run_command(tmp_path, "--part", "1/1", grid=STAGED)
    whole, out = tmp_path / "whole", tmp_path / "out"
    command.finish(whole, fork_workers)
    for _ in kill_before_changes(command, whole, out, every=7):
        trials["worker killed in a method of stages"] += 1


def kill_before_changes(
    command: Command, whole: Path, out: Path, *, every: int
) -> Iterator[None]:
    """Kill a worker before changes of each folder, and check how the command ends."""
    expected = outcome(whole)
    configs = [one for one in whole.glob("cells/*") if one.is_dir()]
    annotators = ["annotators"] * (whole / "annotators").exists()
    for place in (*annotators, *(f"cells/{one.name}" for one in configs)):
        for number in range(1, 100, every):
            change = AtChange(out / place, number, die)
            if command.run(out, fork_workers, change).code == 0:
                shutil.rmtree(out)
                break
            check(command, out, expected)
            yield


@pytest.fixture(scope="module")
def drawn(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with its tables, figures and page."""
    folder = tmp_path_factory.mktemp("drawn")
    shutil.copytree(whole, folder / "out")
    run_command(folder).finish(folder / "out")
    return folder / "out"


def test_killed_before_changes_of_tables_figures_and_page(
    whole: Path, drawn: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    command, out, expected = run_command(tmp_path), tmp_path / "out", outcome(drawn)
    for place in ("tables", "figures", ".claims.json", ".report.html"):
        for number in range(1, 110, 5 if place == "figures" else 1):
            shutil.copytree(whole, out)
            ended = command.run(out, AtChange(out / place, number, die))
            if ended.code == 0:
                shutil.rmtree(out)
                break
            trials[f"killed before a change of {place}"] += 1
            check(command, out, expected)


@pytest.mark.parametrize("at", REPORT)
def test_killed_at_random_moments_of_the_report(
    at: str, whole: Path, drawn: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    command, out, expected = run_command(tmp_path), tmp_path / "out", outcome(drawn)
    draws = random.Random(at)
    while trials[f"killed while {at} are made"] < MANY:
        shutil.copytree(whole, out)
        running = command.start(out)
        running.reaches(lambda: _part_of_report(out, drawn) in (at, "end"))
        time.sleep(draws.uniform(0, 0.3 if at == "page" else 1))
        reached = _part_of_report(out, drawn)
        running.send("parent", signal.SIGKILL)
        if running.end().code:
            trials[f"killed while {reached} are made"] += 1
        check(command, out, expected)


def _part_of_report(out: Path, drawn: Path) -> str:
    """Say what is made at the moment: one of `REPORT`, in its order, or `end`."""
    for part, pattern in REPORT.items():
        names = [path.relative_to(drawn) for path in drawn.glob(pattern)]
        if not all((out / name).exists() for name in names):
            return part
    return "end"
