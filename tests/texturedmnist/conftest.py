import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.texturedmnist.tree import EMBEDDED, write_textures
from texturedmnist.cli import main
from texturedmnist.generate import Build, plan_build, run_build
from texturedmnist.recipe import Recipe
from texturedmnist.sources import digits

NAMES = tuple(f"class_{number:02d}" for number in range(21))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 21 classes in `textures`; `cache` beside it is shared."""
    folder = tmp_path_factory.mktemp("place")
    write_textures(folder / "textures", NAMES)
    return folder


Planner = Callable[..., Build]


@pytest.fixture(scope="session")
def plan(place: Path) -> Planner:
    """Return a function that plans a small build from files made by code."""
    small = dict.fromkeys(EMBEDDED, str(place / "textures")) | {"digits": "embedded"}
    counts = {"train": 60, "val": 20, "test": 20}
    chosen = {"bg": 0.2, "tex": 0.5, "image_size": 28, **small, **counts}

    def plan(
        out: Path,
        shard_size: int = 50,
        compression: str = "none",
        data_root: Path | None = None,
        **fields: Any,
    ) -> Build:
        how: dict[str, Any] = {"shard_size": shard_size, "compression": compression}
        how |= {"data_root": data_root, "cache_dir": place / "cache"}
        return plan_build(Recipe(**(chosen | fields)), out, **how)

    return plan


@pytest.fixture(scope="session")
def finished(plan: Planner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished dataset: leave it as it is."""
    out = tmp_path_factory.mktemp("finished") / "tm"
    run_build(plan(out))
    return out


Runner = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Run a command in an empty folder, on a machine that has nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEXTUREDMNIST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))

    def run(*words: object) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
        return result

    return run


Trust = Callable[[Mapping[str, str]], None]


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Trust:
    """Let the reader take files with given md5 sums for MNIST's."""
    return partial(monkeypatch.setattr, digits, "MNIST_MD5")


def refused(result: Result, *texts: str, code: int = 2) -> None:
    """Check that there is one message that says all this, and the exit code."""
    assert result.exit_code == code, result.output
    assert result.stderr.count("Error: ") == 1
    for text in texts:
        assert text in result.stderr


@pytest.fixture
def dataset(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished dataset, to be spoilt."""
    return Path(shutil.copytree(finished, tmp_path / "tm"))


@pytest.fixture
def exported(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of a module's finished export, to be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "out"))
