"""Runs that train in a second or two on embedded data."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from reff_bench.catalog.methods import method_spec
from reff_bench.evaluate.checkpoint import evaluate_run
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.grid.expand import recipe_fields
from reff_bench.results.json_file import Fields
from reff_bench.results.run import RunProgress
from reff_bench.train.checkpoint import load_checkpoint
from reff_bench.train.loop import TrainOptions
from reff_bench.train.run import train_run
from texturedmnist.generate import plan_build, run_build
from texturedmnist.recipe import Recipe

SHARED = Path(__file__).parents[3] / "shared" / "data"
RECIPE: dict[str, Any] = {
    "bg": 0.0,
    "tex": 0.0,
    "digits": "embedded",
    "digit_textures": "embedded",
    "background_textures": "embedded",
    "embedded_instances": 6,
    "train": 90,
    "val": 30,
    "test": 40,
    "image_size": 28,
}
QUICK: dict[str, Any] = {
    "backbone": "resnet_small",
    "epochs": 2,
    "batch_size": 16,
    "annotator_base_channels": 4,
    "annotator_steps": 4,
}
EVERY_STEP = TrainOptions(checkpoint_seconds=0.0)


class StopNowError(Exception):
    """Raised by a report, in place of a kill."""


def small_config(method: str = "baseline", **fields: Any) -> RunConfig:
    """A run on 160 embedded images of 28 px."""
    recipe = Recipe(
        **{k: fields.pop(k, v) for k, v in RECIPE.items()},
        seed=fields.pop("data_seed", 0),
    )
    options = {**QUICK, **method_spec(method).defaults, **fields}
    return RunConfig(
        dataset="textured_mnist", method=method, **recipe_fields(recipe), **options
    )


def folder_of(out: Path, config: RunConfig) -> Path:
    """Where the run's run lies."""
    return out / "cells" / config_id(config)


def build_folder(out: Path, **fields: Any) -> Path:
    """Write the data of `small_config` as a folder."""
    run_build(plan_build(Recipe(**{**RECIPE, **fields}), out))
    return out


def stored_config(folder: Path) -> RunConfig:
    """A run on the data of a folder."""
    return small_config().model_copy(update={"root": str(folder)})


def train(
    config: RunConfig, out: Path, **options: Any
) -> tuple[Fields, dict[str, Tensor]]:
    """Train a run; return its record and its weights."""
    folder = folder_of(out, config)
    record = train_run(config, folder, device="cpu", **options)
    return record, load_checkpoint(folder / "checkpoint.pt").model


def finish(config: RunConfig, out: Path) -> Path:
    """Train and evaluate a run; return its folder."""
    folder = folder_of(out, config)
    train_run(config, folder, device="cpu")
    evaluate_run(config, folder, device="cpu")
    return folder


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether the weights are equal to the bit."""
    return all(torch.equal(first[key], second[key]) for key in first)


def lasting(record: Fields) -> Fields:
    """What doesn't depend on the clock or the memory of the process."""
    measured = (
        *("train_seconds", "processor_seconds", "images_per_second"),
        *("peak_memory_bytes", "data_stall_share"),
    )
    return {key: value for key, value in record.items() if key not in measured}


def stop_when(asked: Callable[[RunProgress], bool]) -> Callable[[RunProgress], None]:
    """Return a report that stops the training."""

    def stop(progress: RunProgress) -> None:
        if asked(progress):
            raise StopNowError

    return stop


def stop_after(steps: int) -> Callable[[RunProgress], None]:
    """Return a report that stops the training after so many steps."""
    seen = count(1)
    return stop_when(lambda p: p.stage == "training" and next(seen) > steps)


def check_resumes(config: RunConfig, tmp_path: Path, *stops: int) -> None:
    """A run stopped after so many steps that goes on ends as one that isn't."""
    record, weights = train(config, tmp_path / "unbroken")
    for steps in stops:
        out, stop = tmp_path / str(steps), stop_after(steps)
        with pytest.raises(StopNowError):
            train(config, out, report=stop, options=EVERY_STEP)
        again, found = train(config, out)
        assert found.keys() == weights.keys()
        assert same(found, weights)
        assert lasting(again) == lasting(record)
