"""Killed at any moment and run again, a command ends in what an unbroken run gives."""

import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.faults.killing import Command, contents, moments

GENERATE = Command(
    "texturedmnist",
    (
        *("generate", "--bg", "0.5", "--tex", "0.5", "--embedded", "--train", "60"),
        *("--val", "20", "--test", "20", "--image-size", "28", "--shard-size", "10"),
        *("--jobs", "2", "--out", "{out}"),
    ),
)
FOLDER = Command(
    "texturedmnist",
    ("export", "{data}", "--layout", "folder", "--out", "{out}", "--jobs", "2"),
)
PARQUET = Command(
    "texturedmnist",
    ("export", "{data}", "--layout", "parquet", "--out", "{out}"),
)
COMMANDS = {"generate": GENERATE, "export folder": FOLDER, "export parquet": PARQUET}
MANY = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished data set."""
    out = tmp_path_factory.mktemp("kills") / "data"
    GENERATE.finish(out)
    return out


def prepare(name: str, data: Path, folder: Path) -> Path:
    """The folder that a command will write, with what it reads beside it."""
    if name == "export parquet":
        pytest.importorskip("pyarrow")
    if name != "generate":
        shutil.copytree(data, folder / "data")
    return folder / "out"


def check_kills(name: str, what: str, count: int, data: Path, folder: Path) -> None:
    """Kill at so many moments; each time run again, and compare all bytes."""
    command = COMMANDS[name]
    out = prepare(name, data, folder)
    begun = time.monotonic()
    command.finish(out)
    seconds = time.monotonic() - begun
    expected = contents(out)
    for after in moments(seconds, count, seed=count):
        shutil.rmtree(out)
        command.stop(out, after, what, signal.SIGKILL)
        command.finish(out)
        assert contents(out) == expected, f"killed after {after:.2f} s"


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_twice_and_run_again(name: str, data: Path, tmp_path: Path) -> None:
    check_kills(name, "parent", 2, data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["parent", "worker"])
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_many_moments_and_run_again(
    name: str, what: str, data: Path, tmp_path: Path
) -> None:
    check_kills(name, what, MANY, data, tmp_path)
