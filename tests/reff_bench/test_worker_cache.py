from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from reff_bench.data import files, textured_mnist
from reff_bench.grid.config import RunConfig
from reff_bench.runner.work import RunWork, run_evaluation, run_training
from tests.reff_bench.small import build_folder, small_config
from tests.reff_bench.trees import make_pets
from texturedmnist.common.executors import ThisProcess

COSTLY = (
    (textured_mnist, "open_sources"),
    (textured_mnist, "in_memory"),  # a split is rendered, or read from a folder
    (files, "_read_decoded"),
    (files, "_decode"),
)


def rendered(_: Path) -> dict[str, Any]:
    return {}


def stored(folder: Path) -> dict[str, Any]:
    return {"root": str(build_folder(folder / "tm"))}


def photographs(folder: Path) -> dict[str, Any]:
    root = str(make_pets(folder / "pets"))
    return {"dataset": "pets", "root": root, "task": "breed", "batch_size": 4}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (rendered, {"open_sources": 1, "in_memory": 4}),
        (stored, {"in_memory": 3}),
        # `trainval` and `test`; what is absent is looked for again under the lock.
        (photographs, {"_read_decoded": 4, "_decode": 2}),
    ],
)
def test_a_worker_opens_the_data_of_its_runs_once(
    data: Callable[[Path], dict[str, Any]],
    expected: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fields = data(tmp_path)
    calls = {name: Mock(wraps=getattr(module, name)) for module, name in COSTLY}
    for module, name in COSTLY:
        monkeypatch.setattr(module, name, calls[name])
    paths = (tmp_path, tmp_path / "cache")
    work = RunWork(tmp_path, run_training, run_evaluation, ("cpu",), *paths)
    runs = [
        RunConfig(**{**small_config(epochs=1, seed=seed).flat(), **fields})
        for seed in range(2)
    ]
    outcomes = ThisProcess().run_each(work, runs, report=lambda number, message: None)
    assert [one.error for one in outcomes] == [None, None]
    assert len([*tmp_path.glob("cells/*/evaluation.json")]) == 2
    counts = {name: call.call_count for name, call in calls.items()}
    assert Counter(counts) == Counter(expected)
