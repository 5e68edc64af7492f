"""What may not be written or read: one line that says so, and nothing is changed."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.breaking import drop_rights, fork_workers, remount, small_disk
from tests.faults.commands import Command, contents
from tests.faults.conftest import ALONE, FOLDER, SMALL
from tests.faults.made_up import made_up_command, make_up

slow = pytest.mark.slow


def on_data(*args: str) -> Command:
    """Return a command that is about a dataset."""
    return Command("texturedmnist", (*args, "{data}"))


WRITING = {
    **ALONE,
    "generate again": on_data(*SMALL[:-2], "--jobs", "1", "--out"),
    "card": on_data("card"),
    "preview": on_data("preview"),
}
READING = {name: on_data(name) for name in ("info", "audit", "verify")}
QUICK = ("generate", "card")  # in the short form
DENIED = ("Read-only file system", "Permission denied")


@pytest.fixture(params=DENIED)
def closed(
    request: pytest.FixtureRequest, data: Path, tmp_path: Path
) -> Iterator[tuple[Path, str]]:
    """A folder with a dataset where nothing may be written, and why."""
    if request.param == DENIED[0]:
        with small_disk(tmp_path / "disk") as folder:
            shutil.copytree(data, folder / "data")
            remount(folder, "ro")
            yield folder, request.param
        return
    shutil.copytree(data, tmp_path / "data")
    for folder in (tmp_path, tmp_path / "data"):
        folder.chmod(0o555)
    yield tmp_path, request.param
    for folder in (tmp_path, tmp_path / "data"):
        folder.chmod(0o755)


def marked(names: dict[str, Command], quick: tuple[str, ...]) -> list[object]:
    return [n if n in quick else pytest.param(n, marks=slow) for n in names]


@pytest.mark.parametrize("name", marked(WRITING, QUICK))
def test_nothing_is_written_where_nothing_may_be(
    name: str, closed: tuple[Path, str]
) -> None:
    folder, why = closed
    before = contents(folder)
    ended = WRITING[name].run(folder / "out", drop_rights)
    assert ended.code in (1, 2)
    assert "can't write " in ended.error
    assert why in ended.error
    assert contents(folder) == before


@pytest.mark.parametrize("name", marked(READING, ("info",)))
def test_a_data_set_is_read_where_nothing_may_be_written(
    name: str, closed: tuple[Path, str]
) -> None:
    READING[name].finish(closed[0] / "out", drop_rights)


def test_no_run_begins_where_nothing_may_be_written(
    closed: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    command = made_up_command(tmp_path_factory.mktemp("grid"))
    ended = command.run(closed[0] / "out", make_up, fork_workers, drop_rights)
    assert ended.code == 2
    assert f"can't write to {closed[0]}/out: {closed[1]}; choose" in ended.error


READ = {
    "manifest.json": {**READING, **WRITING},
    "samples.csv": {"verify": READING["verify"], "export folder": FOLDER},
    "val-00001-of-00002.h5": {
        **{name: READING[name] for name in ("audit", "verify")},
        **{name: WRITING[name] for name in WRITING if name not in ("generate", "card")},
    },
}
CASES = [
    pytest.param(file, name, marks=() if name in ("verify", "card") else slow)
    for file, commands in READ.items()
    for name in commands
    if name != "generate"  # which reads none of them
]


@pytest.mark.parametrize(("file", "name"), CASES)
def test_what_may_not_be_read_is_named_and_never_made_again(
    file: str, name: str, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    before, path = contents(tmp_path), tmp_path / "data" / file
    path.chmod(0)
    ended = READ[file][name].run(tmp_path / "out", drop_rights)
    path.chmod(0o644)
    assert ended.code == 2
    assert ended.error.startswith(f"can't read {tmp_path}/data/{file}: permission")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("file", ["grid.json", "cells/*/record.json"])
@pytest.mark.parametrize("name", ["status", pytest.param("retry", marks=slow)])
def test_runs_that_may_not_be_read_are_named(
    name: str, file: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made_up_command(tmp_path / "grid").finish(out, make_up, fork_workers)
    before, paths = contents(out), list(out.glob(file))
    for path in paths:
        path.chmod(0)
    ended = Command("reff_bench", (name, "{out}")).run(out, drop_rights)
    for path in paths:
        path.chmod(0o644)
    assert ended.code == 2
    assert f"can't open {out}/" in ended.error
    assert "Permission denied" in ended.error
    assert contents(out) == before
