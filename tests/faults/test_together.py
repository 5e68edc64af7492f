"""Several processes on one folder: each ends rightly or with one line, none harms."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import made_up, runs
from tests.faults.breaking import AtChange, die, fork_workers
from tests.faults.commands import Command, Running, contents
from tests.faults.conftest import ALONE, BY_TWO, GENERATE, SMALL, by
from tests.faults.made_up import made_up_command, make_up
from tests.texturedmnist.tree import write_textures

WRITERS = {**ALONE, **BY_TWO}
BUSY = ("another process is writing to", "another process is running runs in")


def check_all(started: list[Running]) -> int:
    """Wait for processes on one folder; return how many were sent away."""
    ended = [running.end() for running in started]
    for one in ended:
        assert one.code == 0 or one.error.startswith(BUSY), one
    assert any(one.code == 0 for one in ended)
    return sum(one.code != 0 for one in ended)


@pytest.mark.parametrize("count", [2, 4])
def test_generators_of_one_folder(count: int, data: Path, tmp_path: Path) -> None:
    check_all([GENERATE.start(tmp_path / "out") for _ in range(count)])
    assert contents(tmp_path / "out") == contents(data)


def test_runs_of_one_folder(tmp_path: Path) -> None:
    command, out = made_up_command(tmp_path / "grid"), tmp_path / "out"
    command.finish(out, make_up, fork_workers)
    whole = made_up.outcome(out)
    shutil.rmtree(out)
    check_all([command.start(out, make_up, fork_workers) for _ in range(4)])
    assert made_up.outcome(out) == whole


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", WRITERS)
def test_writers_of_one_folder_that_start_one_after_another(
    name: str, count: int, data: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    command, out, draws = WRITERS[name], tmp_path / "out", random.Random(name)
    shutil.copytree(data, tmp_path / "data")
    command.finish(out)
    whole = contents(out)
    for _ in range(5):
        shutil.rmtree(out)
        started = []
        for _ in range(count):
            time.sleep(draws.uniform(0, 0.5))
            started.append(command.start(out))
        trials[f"{name}: sent away"] += check_all(started)
        trials[f"{name}: {count} processes"] += 1
        assert contents(out) == whole


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_true_runs_of_one_folder(
    count: int, tmp_path: Path, trials: Counter[str]
) -> None:
    command, out = runs.run_command(tmp_path), tmp_path / "out"
    command.finish(out, fork_workers)
    whole, draws = runs.outcome(out), random.Random(count)
    for number in range(5):
        # At once, while it works, and while it draws.
        begin: Callable[[], object] = [out.exists, (out / "tables").exists][number % 2]
        shutil.rmtree(out)
        started = [command.start(out, fork_workers)]
        if number:
            started[0].reaches(begin)
            time.sleep(draws.uniform(0, 2))
        started += [command.start(out, fork_workers) for _ in range(count - 1)]
        trials["run: sent away"] += check_all(started)
        trials[f"run: {count} processes"] += 1
        assert runs.outcome(out) == whole


@pytest.mark.slow
def test_reports_of_one_folder_wait_for_each_other(
    tmp_path: Path, trials: Counter[str]
) -> None:
    command, out = runs.run_command(tmp_path), tmp_path / "out"
    command.finish(out, fork_workers)
    whole = runs.outcome(out)
    reports = [
        Command("reff_bench", (name, "{out}"), command.loads)
        for name in ("report", "table", "figures", "claims")
    ]
    for _ in range(3):
        started = [one.start(out) for one in (*reports, command)]
        assert [running.end().code for running in started] == [0] * 5
        assert runs.outcome(out) == whole
        trials["four reports and a run"] += 1


@pytest.mark.slow
def test_what_is_collected_by_several_is_all_there(tmp_path: Path) -> None:
    files = []
    for number in range(3):
        seed = ("--set", f"seed=[{number}]")
        command = made_up_command(tmp_path / f"grid{number}", *seed)
        out = tmp_path / f"out{number}"
        command.finish(out, make_up, fork_workers)
        args = ("collect", "{out}", "--into", str(tmp_path / "all.jsonl"))
        files.append(Command("reff_bench", args).start(out))
    assert [running.end().code for running in files] == [0, 0, 0]
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 9


@pytest.mark.slow
def test_generators_of_several_folders_share_a_cache(tmp_path: Path) -> None:
    write_textures(tmp_path / "textures", [f"class_{n:02}" for n in range(21)])
    sources = ("--textures", str(tmp_path / "textures"))
    command = by(1, *SMALL, *sources, "--cache-dir", str(tmp_path / "cache"))
    command.finish(tmp_path / "whole")
    cache = contents(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    outs = [tmp_path / f"out{number}" for number in range(4)]
    for running in [command.start(out) for out in outs]:
        assert running.end().code == 0
    assert all(contents(out) == contents(tmp_path / "whole") for out in outs)
    assert contents(tmp_path / "cache") == cache


@pytest.mark.parametrize("content", [b"", b"4711\n"])
def test_the_lock_of_a_dead_process_stops_nobody(
    content: bytes, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if content:
        out.mkdir()
        (out / ".lock").write_bytes(content)
    else:
        assert GENERATE.run(out, AtChange(out, 9, die)).code < 0
    assert (out / ".lock").exists()
    GENERATE.finish(out)
    assert contents(out) == contents(data)
