from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.texturedmnist.tree import EMBEDDED
from texturedmnist.generate import plan_build, run_build
from texturedmnist.recipe import Recipe

COUNTS = {"train": 300, "val": 60, "test": 200}
RECIPE: dict[str, Any] = {"bg": 0.5, "tex": 0.5, "image_size": 28, **EMBEDDED}
RECIPE |= {"embedded_instances": 4, **COUNTS}
Maker = Callable[..., Path]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Return a function that generates a small folder."""
    cache = tmp_path_factory.mktemp("cache")

    def make(**fields: Any) -> Path:
        out = tmp_path_factory.mktemp("made") / "tm"
        recipe = Recipe(**{**RECIPE, **fields})
        run_build(plan_build(recipe, out, cache_dir=cache, shard_size=128))
        return out

    return make


@pytest.fixture(scope="session")
def folder(make: Maker) -> Path:
    """Return a folder with samples in each of the 20 groups of train."""
    return make(val_shifted=True)


@pytest.fixture(scope="session")
def assigned(make: Maker) -> Path:
    """Return a folder whose backgrounds say the label in train."""
    return make(bg=0.0, train=200, val=20, test=100)
