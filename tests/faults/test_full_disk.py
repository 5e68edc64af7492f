"""A disk that is full at any write: one line, and with room again the same command."""

import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.breaking import (
    AtChange,
    fill_disk,
    fork_workers,
    limit_files,
    remount,
    small_disk,
)
from tests.faults.commands import Command, contents
from tests.faults.conftest import ALONE, BY_TWO, GENERATE, SMALL, by
from tests.faults.runs import outcome, run_command

FULL, TOO_LARGE = "No space left on device", "File too large"
COMMANDS = {**ALONE, **BY_TWO, "generate gzip": by(1, *SMALL, "--compression", "gzip")}
PAGE = 4096  # bytes; a tmpfs gives no less


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MiB."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def check(
    command: Command, out: Path, break_off: Callable[[], object], words: str
) -> bool:
    """Break a command off, then let it finish.

    Returns:
        Whether it was broken off: else it had room enough.
    """
    ended = command.run(out, AtChange(out, 1, break_off))
    (out.parent / "ballast").unlink(missing_ok=True)
    if ended.code != 0:
        assert ended.code in (1, 2), ended
        assert words in ended.error
        assert not list(out.rglob("*.tmp"))
    command.finish(out)
    return ended.code != 0


def test_a_full_disk_is_one_line_and_room_again_is_enough(
    disk: Path, data: Path
) -> None:
    for left in (9, 200):
        fill = partial(fill_disk, disk, left * PAGE)
        assert check(GENERATE, disk / "out", fill, FULL)
        assert contents(disk / "out") == contents(data)
        shutil.rmtree(disk / "out")


@pytest.mark.parametrize("number", [1, 7, 19, 40])
def test_files_that_may_not_grow_are_one_line(
    number: int, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = GENERATE.run(out, AtChange(out, number, partial(limit_files, 1000)))
    assert ended.code == 1
    assert TOO_LARGE in ended.error
    GENERATE.finish(out)
    assert contents(out) == contents(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_full_at_any_page(
    name: str, data: Path, disk: Path, trials: Counter[str]
) -> None:
    command, out = COMMANDS[name], disk / "out"
    shutil.copytree(data, disk / "data")
    command.finish(out)
    expected = contents(out)
    pages = sum(-(-len(one) // PAGE) for one in expected.values())
    broken, left = True, 0
    while broken:
        shutil.rmtree(out)
        broken = check(command, out, partial(fill_disk, disk, left), FULL)
        assert contents(out) == expected
        trials[f"{name} on a full disk"] += broken
        left += PAGE * max(1, pages // 60)
    assert trials.total() >= 40


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_a_disk_that_takes_no_more_files(
    name: str, data: Path, disk: Path, trials: Counter[str]
) -> None:
    command, out = ALONE[name], disk / "out"
    shutil.copytree(data, disk / "data")
    command.finish(out)
    expected, code, more = contents(out), 1, 0
    while code != 0:
        shutil.rmtree(out)
        used = sum(1 for _ in disk.rglob("*"))
        remount(disk, f"nr_inodes={used + 2 + more}")
        ended = command.run(out)
        remount(disk, "nr_inodes=9999")
        code = ended.code
        assert code == 0 or FULL in ended.error
        assert not list(out.rglob("*.tmp"))
        command.finish(out)
        assert contents(out) == expected
        trials[f"{name} without room for a file"] += code != 0
        more += 1 if name != "export folder" else 9


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_files_that_may_not_grow_from_any_change_on(
    name: str, data: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    command, out = ALONE[name], tmp_path / "out"
    shutil.copytree(data, tmp_path / "data")
    command.finish(out)
    expected, number, code = contents(out), 1, 1
    while code != 0:
        shutil.rmtree(out)
        ended = command.run(out, AtChange(out, number, partial(limit_files, 2000)))
        code = ended.code
        assert code == 0 or TOO_LARGE in ended.error
        command.finish(out)
        assert contents(out) == expected
        trials[f"{name} with a limit on files"] += code != 0
        number += 1 if name != "export folder" else 19


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["forked", "spawned"])
def test_a_run_on_a_full_disk(
    workers: str, disk: Path, tmp_path: Path, trials: Counter[str]
) -> None:
    command, out = run_command(tmp_path), disk / "out"
    command.finish(out, fork_workers)
    expected = outcome(out)
    size = sum(map(len, contents(out).values()))
    count = 30 if workers == "forked" else 3
    how = (fork_workers,) if workers == "forked" else ()
    for part in range(count):
        shutil.rmtree(out)
        fill = AtChange(out, 1, partial(fill_disk, disk, size * part // count))
        ended = command.run(out, fill, *how)
        (disk / "ballast").unlink()
        assert ended.code == 1
        assert FULL in ended.said
        assert "Traceback" not in ended.said
        assert signal.SIGBUS.name not in ended.said
        command.finish(out, fork_workers)
        assert outcome(out) == expected
        trials[f"run on a full disk, workers {workers}"] += 1
