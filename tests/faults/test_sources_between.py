"""Sources that change or are gone between a broken command and the next."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.faults.breaking import AtChange, die, fork_workers
from tests.faults.commands import contents
from tests.faults.conftest import SMALL, by
from tests.faults.made_up import made_up_command, make_up
from tests.faults.made_up import outcome as made_up_outcome
from tests.faults.runs import GRID, finished, outcome, run_command
from tests.texturedmnist.tree import write_textures


def change(folder: Path) -> None:
    """Give one texture other pixels of the same size."""
    Image.new("RGB", (36, 40), "red").save(folder / "class_03" / "class_03_0001.png")


def lose_a_file(folder: Path) -> None:
    (folder / "class_03" / "class_03_0001.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change, "holds another recipe's data, or data made from other sources"),
        pytest.param(lose_a_file, "made from other sources", marks=pytest.mark.slow),
        pytest.param(
            shutil.rmtree, "can't open the texture folder", marks=pytest.mark.slow
        ),
    ],
)
def test_textures_that_change_in_between_are_refused(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    textures, out = tmp_path / "textures", tmp_path / "out"
    write_textures(textures, [f"class_{n:02}" for n in range(21)], 4)
    shutil.copytree(textures, tmp_path / "kept")
    cache = ("--cache-dir", str(tmp_path / "cache"))
    command = by(1, *SMALL, "--textures", str(textures), *cache)
    assert command.run(out, AtChange(out, 9, die)).code < 0
    before = contents(out)
    spoil(textures)
    ended = command.run(out)
    assert ended.code == 2
    assert words in ended.error
    assert contents(out) == before
    shutil.rmtree(textures, ignore_errors=True)
    shutil.copytree(tmp_path / "kept", textures)
    command.finish(out)
    command.finish(tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_runs_whose_data_are_gone_wait_for_them(tmp_path: Path) -> None:
    command, out = made_up_command(tmp_path / "grid"), tmp_path / "out"
    broken = command.run(out, make_up, fork_workers, AtChange(out / "cells", 9, die))
    assert broken.code != 0
    before = contents(out)
    (tmp_path / "grid" / "tree").rename(tmp_path / "moved")
    ended = command.run(out, make_up, fork_workers)
    assert ended.code == 2
    assert f"{tmp_path / 'grid' / 'tree'}" in ended.error
    assert contents(out) == before
    (tmp_path / "moved").rename(tmp_path / "grid" / "tree")
    command.finish(out, make_up, fork_workers)
    command.finish(tmp_path / "whole", make_up, fork_workers)
    assert made_up_outcome(out) == made_up_outcome(tmp_path / "whole")


STORED = "data: {kind: textured_mnist, root: DATA}\naxes:" + GRID.partition("axes:")[2]


@pytest.mark.slow
@pytest.mark.parametrize("moment", [1, 20, 40])
def test_data_that_go_while_a_run_works_are_waited_for(
    moment: int, data: Path, tmp_path: Path
) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    shutil.copytree(data, root)
    grid = STORED.replace("DATA", str(root))
    command = run_command(tmp_path, "--part", "1/1", grid=grid)
    lose = AtChange(out / "cells", moment, partial(_move, root, tmp_path / "moved"))
    ended = command.run(out, fork_workers, lose)
    assert ended.code == 0 or "some runs failed" in ended.error  # or it had them all
    kept = finished(out)
    _move(tmp_path / "moved", root)
    command.finish(out, fork_workers)
    command.finish(tmp_path / "whole", fork_workers)
    assert outcome(out) == outcome(tmp_path / "whole")
    assert kept.items() <= finished(out).items()


def _move(old: Path, new: Path) -> None:
    if old.exists():
        old.rename(new)
