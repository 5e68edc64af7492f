"""Spoilt files of every kind: one clear line each, or they are read; no traceback."""

import ast
import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.doors import DOORS
from tests.faults.spoil import spoil
from tests.python import ROOT, run_python

NEVER = {"idx", "idx.gz"}  # ours are not MNIST's own, which have known md5 sums


def try_often(name: str, folder: Path, seeds: range) -> None:
    door = DOORS[name]
    door.prepare(folder)
    sound = (folder / door.path).read_bytes()
    assert door.take(folder, sound) == (name not in NEVER)
    for seed in seeds:
        spoilt = spoil(sound, Path(door.path).suffix, random.Random(seed))
        try:
            door.take(folder, spoilt)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


SAFE = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False"}
# Between processes of one command; nobody else writes there.
PIPES = ROOT / "texturedmnist" / "common" / "executors"


def calls() -> Iterator[tuple[Path, str, list[str]]]:
    """Yield each call in the two packages: its file, function and keywords."""
    for package in ("texturedmnist", "reff_bench"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    given = [ast.unparse(one) for one in node.keywords]
                    yield path, ast.unparse(node.func), given


def test_no_file_is_read_by_a_reader_that_runs_code() -> None:
    found = set()
    for path, function, given in calls():
        if function in SAFE:
            assert SAFE[function] in given, f"{path}: {function}"
            found.add(function)
        assert function not in ("eval", "exec", "yaml.unsafe_load", "pd.read_pickle")
        if "pickle" in function.lower() and function.endswith(("load", "loads")):
            assert path.is_relative_to(PIPES), path
    assert found == {*SAFE}


@pytest.mark.parametrize("name", DOORS)
def test_a_spoilt_file_is_refused_in_one_line_or_read(
    name: str, tmp_path: Path
) -> None:
    try_often(name, tmp_path, range(25))


# Named by who calls, for whom a shell's `<(...)` may be a pipe with a writer; or looked
# for by others, who take regular files alone.
ASKED_FOR = {"recipe", "grid", "times", "texture", "photograph", "mask", "cell"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DOORS.keys() - ASKED_FOR))
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    door = DOORS[name]
    door.prepare(tmp_path)
    (tmp_path / door.path).unlink()
    os.mkfifo(tmp_path / door.path)
    signal.setitimer(signal.ITIMER_REAL, 60)  # ends this process if it waits
    try:
        with suppress(*door.errors):
            door.read(tmp_path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_many_spoilt_files_are_refused_in_one_line_or_read(
    name: str, tmp_path: Path
) -> None:
    try_often(name, tmp_path, range(10_000, 13_000))


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_a_fuzzer_finds_nothing(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    words = ("-m", "tests.faults.fuzz", name, "--runs", "2000")
    env = {"TMPDIR": str(tmp_path)}
    ended = run_python(*words, folder=tmp_path, code=None, env=env, seconds=600)
    assert "Done 2000 runs" in ended.stderr, ended.stderr[-3000:]
