"""Random damage of a folder of runs: it is found, or it changes no result."""

import random
import shutil
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reff_bench.annotator.annotator import Annotator
from reff_bench.annotator.options import AnnotatorError
from reff_bench.cli.evaluate import _read_config
from reff_bench.data.opening import open_data
from reff_bench.data.split import Split
from reff_bench.evaluate.checkpoint import evaluate_run
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.results.json_file import ResultsError
from reff_bench.results.panels import read_panels
from reff_bench.results.plan import read_plan, write_plan
from reff_bench.results.run import RunError, read_record, read_run, run_folder
from reff_bench.train.annotate import _read_masks, _read_report
from reff_bench.train.checkpoint import check_fits, load_checkpoint
from reff_bench.train.run import train_run
from tests.faults.damage import damage
from tests.reff_bench.fakes import make_plan
from tests.reff_bench.small import small_config

CONFIGS = [small_config("reff", annotations=2, epochs=1, seed=n) for n in (0, 1)]
FOUND = "found"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """Two finished runs, each with its annotator."""
    out = tmp_path_factory.mktemp("whole")
    write_plan(out, make_plan(CONFIGS))
    for config in CONFIGS:
        folder = run_folder(out, config)
        train_run(config, folder, cache_dir=cache_dir, device="cpu")
        evaluate_run(config, folder, cache_dir=cache_dir, device="cpu")
    return out


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def read(
    out: Path, cache_dir: Path, touched: set[Path] | None = None
) -> Iterator[tuple[str, object]]:
    """All that results depend on, as it is read; `FOUND` where that is refused.

    To save time, only what depends on the folders of the files that are touched.
    """
    yield "plan", _try(lambda: read_plan(out).model_dump())
    for config in CONFIGS:
        name, folder = config_id(config), run_folder(out, config)
        place = out / "annotators" / _key(out, config)
        near = {path.parent for path in touched or ()}
        if touched is not None and not near & {folder, place}:
            continue
        run = read_run(folder)
        yield f"{name} run", run if run.status == "done" else FOUND
        yield f"{name} weights", _try(partial(_weights, config, folder))
        yield f"{name} panels", _try(partial(_panels, folder))
        yield f"{name} config", _try(partial(_config, folder / "cell.json"))
        yield from _annotator(place, cache_dir)


def _try(step: Callable[[], Any]) -> object:
    try:
        return step()
    except (ResultsError, RunError, AnnotatorError, FileNotFoundError):
        return FOUND


def _panels(folder: Path) -> object:
    return _arrays(read_panels(folder))


def _config(path: Path) -> object:
    """A run with another id is found when its weights are held against it."""
    config = _read_config(path)
    return config_id(config) if config_id(config) in map(config_id, CONFIGS) else FOUND


def _weights(config: RunConfig, folder: Path) -> object:
    path = folder / "checkpoint.pt"
    checkpoint = load_checkpoint(path)
    check_fits(checkpoint, path, config_id(config), "cpu")
    return _arrays({name: one.numpy() for name, one in checkpoint.model.items()})


def _arrays(arrays: dict[str, Any] | None) -> object:
    if arrays is None:
        return FOUND
    return {name: np.asarray(one).tobytes() for name, one in arrays.items()}


KEYS: dict[str, str] = {}  # a run's id -> its annotator's


def _key(out: Path, config: RunConfig) -> str:
    """The key of a run's annotator, as it was before any damage."""
    if config_id(config) not in KEYS:
        record = read_record(run_folder(out, config)) or {}
        KEYS[config_id(config)] = record["annotator_key"]
    return KEYS[config_id(config)]


def _annotator(place: Path, cache_dir: Path) -> Iterator[tuple[str, object]]:
    key, report = place.name, _read_report(place)
    masks = None if report is None else _read_masks(place, report, _images(cache_dir))
    quality = {k: v for k, v in (report or {}).items() if "iou" in k or "dice" in k}
    yield f"{key} masks", FOUND if masks is None else (masks.tobytes(), quality)
    yield f"{key} annotator", _try(lambda: _drawn(place / "annotator.pt"))


@cache
def _images(cache_dir: Path) -> Split:
    return open_data(CONFIGS[0], None, cache_dir).splits["train"]


def _drawn(path: Path) -> bytes:
    images = torch.linspace(-1, 1, 3 * 28 * 28).reshape(1, 3, 28, 28)
    return Annotator.load(path).predict(images).numpy().tobytes()


def check(whole: Path, cache_dir: Path, copy: Path, seeds: range) -> None:
    truth = dict(read(whole, cache_dir))
    assert FOUND not in truth.values()
    found = 0
    for seed in seeds:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        what, touched = damage(copy, random.Random(seed))
        for name, value in read(copy, cache_dir, touched):
            refused = isinstance(value, str) and value == FOUND
            found += refused
            assert refused or value == truth[name], f"{what} (seed {seed}): {name}"
    assert found > len(seeds) / 4  # the damages do hit what is read


def test_damage_is_found_or_without_effect(
    whole: Path, cache_dir: Path, tmp_path: Path
) -> None:
    check(whole, cache_dir, tmp_path / "copy", range(20))


@pytest.mark.slow
def test_much_damage_is_found_or_without_effect(
    whole: Path, cache_dir: Path, tmp_path: Path
) -> None:
    check(whole, cache_dir, tmp_path / "copy", range(1000, 1500))
