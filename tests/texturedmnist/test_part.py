from pathlib import Path

import pytest
from filelock import FileLock

from tests.texturedmnist.conftest import Planner
from texturedmnist.common.executors import ExecutorError, Part, local
from texturedmnist.common.files import FolderError
from texturedmnist.generate import run_build, run_part
from texturedmnist.manifest import MANIFEST_NAME


@pytest.mark.parametrize("count", [0, 1, 5, 17])
def test_the_parts_make_up_the_whole_in_equal_shares(count: int) -> None:
    shares = [Part.parse(f"{number}/4").take(range(count)) for number in range(1, 5)]
    assert sorted(item for share in shares for item in share) == list(range(count))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


LONG = "1/" + "9" * 5000
NO_PARTS = ("2", "0/4", "5/4", "1/0", "a/b", "1/4/2", "-1/4", "", "²/4", LONG)


@pytest.mark.parametrize("text", NO_PARTS, ids=range(len(NO_PARTS)))
def test_a_part_that_is_none_is_refused(text: str) -> None:
    shown = f"--part {text[:40]}: give i/n with 1 <= i <= "
    with pytest.raises(ExecutorError, match=shown):
        Part.parse(text)


def test_parts_and_a_last_run_make_the_same(plan: Planner, tmp_path: Path) -> None:
    whole = run_build(plan(tmp_path / "whole", 10))
    parts = plan(tmp_path / "parts", 10)
    made = [run_part(parts, Part(3, 3)), run_part(parts, Part(1, 3), executor=local(2))]
    assert made == [3, 4]
    assert not (parts.out / MANIFEST_NAME).exists()
    before = {path: path.stat().st_mtime_ns for path in parts.out.glob("*.h5")}
    assert len(before) == 7
    assert run_build(parts) == whole  # the second part, which was never run, too
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_part_leaves_the_files_of_others_alone(plan: Planner, tmp_path: Path) -> None:
    build = plan(tmp_path / "tm", 10)
    build.out.mkdir()
    mine, others = (build.places[number].file for number in (0, 1))
    for name in (mine, others):
        (build.out / f".{name}.0123.tmp").write_bytes(b"half")
    run_part(build, Part(1, 2))
    assert [path.name for path in build.out.glob(".*.tmp")] == [f".{others}.0123.tmp"]


@pytest.mark.parametrize(
    ("held", "part"),
    [
        (".lock", Part(1, 2)),
        (".lock-1-of-2", Part(1, 2)),
        (".lock-2-of-3", Part(1, 2)),
        (".lock-1-of-2", None),
    ],
)
def test_two_who_make_the_same_are_refused(
    held: str, part: Part | None, plan: Planner, tmp_path: Path
) -> None:
    build = plan(tmp_path / "tm", 10)
    build.out.mkdir()
    with (
        FileLock(build.out / held),
        pytest.raises(FolderError, match="another process is writing to"),
    ):
        run_build(build) if part is None else run_part(build, part)


def test_parts_run_side_by_side(plan: Planner, tmp_path: Path) -> None:
    build = plan(tmp_path / "tm", 10)
    build.out.mkdir()
    with FileLock(build.out / ".lock-2-of-2"):
        assert run_part(build, Part(1, 2)) == 5
