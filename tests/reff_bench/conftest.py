from pathlib import Path

import pytest

from reff_bench.data.opening import open_data
from reff_bench.data.split import Data
from tests.reff_bench.small import build_folder, small_config


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded textures of all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def data(cache_dir: Path) -> Data:
    """The data of `small_config`; to be read only."""
    return open_data(small_config(), cache_dir=cache_dir)


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """The same data as a folder; to be read only."""
    return build_folder(tmp_path_factory.mktemp("stored") / "data", cache_dir)


@pytest.fixture
def every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run report every step."""
    monkeypatch.setattr("reff_bench.train.reports.SECONDS", 0.0)
