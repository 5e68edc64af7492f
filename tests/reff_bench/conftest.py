from collections.abc import Iterator
from pathlib import Path

import pytest

from reff_bench.data.opening import open_data
from reff_bench.data.split import Data
from tests.reff_bench.small import RECIPE, small_config
from texturedmnist.generate import plan_build, run_build
from texturedmnist.recipe import Recipe

NAME = "texturedmnist"  # of what is ours in the user's cache


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where decoded textures and photographs of all tests are kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="package", autouse=True)
def _own_cache(cache_home: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache_home))
        yield


@pytest.fixture(scope="session")
def data(cache_home: Path) -> Data:
    """The data of `small_config`; to be read only."""
    return open_data(small_config(), cache_dir=cache_home / NAME)


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory, cache_home: Path) -> Path:
    """The same data as a folder; to be read only."""
    out, cache = tmp_path_factory.mktemp("stored") / "data", cache_home / NAME
    run_build(plan_build(Recipe(**RECIPE), out, cache_dir=cache))
    return out


@pytest.fixture
def every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run report every step."""
    monkeypatch.setattr("reff_bench.train.reports.SECONDS", 0.0)
