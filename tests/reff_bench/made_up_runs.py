"""A folder of runs made by code: plan, records, evaluations, example maps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from reff_bench.catalog.methods import known_method
from reff_bench.catalog.options import STAGES
from reff_bench.grid.config import RunConfig
from reff_bench.report.figures.curves import draw_curves
from reff_bench.report.figures.runs import RunSet
from reff_bench.results.folder import find_runs
from reff_bench.results.panels import write_panels
from reff_bench.results.plan import Plan, write_plan
from reff_bench.results.run import (
    CONFIG_NAME,
    EVALUATION_NAME,
    make_record,
    run_folder,
    write_record,
)
from tests.reff_bench.fakes import make_config, make_plan
from texturedmnist.common.files import write_atomically

AMOUNTS: tuple[Any, ...] = (1, 5, 10, 20, 50, "all")
METHODS = ("baseline", "reff", "reff_l1", "reff_l2", "abn", "reff_plus")
IMAGES, CLASSES = 4, 10


def study_configs(
    methods: Sequence[str] = METHODS,
    amounts: Sequence[Any] = AMOUNTS,
    seeds: Sequence[int] = (0, 1, 2),
    **fields: Any,
) -> list[RunConfig]:
    return [
        make_config(method, annotations=amount, seed=seed, **fields)
        for method in methods
        for amount in amounts
        for seed in seeds
    ]


def write_runs(
    out: Path,
    configs: Sequence[RunConfig],
    done: Callable[[RunConfig], bool],
    **select: Any,
) -> Plan:
    """Write a plan, and results of those runs that are done."""
    plan = make_plan(list(configs), **select)
    write_plan(out, plan)
    for config in configs:
        if done(config):
            write_run(run_folder(out, config), config)
    return plan


def study_of(out: Path, configs: list[RunConfig], **select: Any) -> RunSet:
    """A folder in which every run is done."""
    plan = write_runs(out, configs, lambda _: True, **select)
    return RunSet(find_runs(out, plan))


def study(
    out: Path, seeds: tuple[int, ...] = (0, 1, 2), **fields: Any
) -> list[RunConfig]:
    """A folder with every run done but those of the last seed's ABN."""
    configs = study_configs(seeds=seeds, **fields)
    write_runs(out, configs, lambda c: (c.method, c.seed) != ("abn", seeds[-1]))
    return configs


def figure_of(study: RunSet, name: str) -> Canvas:
    """The chart of this name, among the curves."""
    (figure,) = (one for one in draw_curves(study) if one.name == name)
    assert figure.canvas is not None
    return figure.canvas


def write_run(folder: Path, config: RunConfig, **evaluation: Any) -> None:
    """Write all that a trained and evaluated run leaves but its weights."""
    write_atomically(folder / CONFIG_NAME, config.model_dump_json())
    write_record(folder, make_record(config, "done", **histories(config)))
    write_record(folder, {**metrics(config), **evaluation}, EVALUATION_NAME)
    write_panels(folder, examples(config))


def strength(config: RunConfig) -> float:
    """How good a run is, in [0, 1]: more with annotations, a little with the seed."""
    many = AMOUNTS.index(config.annotations) / 5
    gain = many if known_method(config.method).uses_masks else 0.0
    place = METHODS.index(config.method) if config.method in METHODS else 0
    return 0.2 + 0.4 * gain + 0.04 * place + 0.02 * config.seed


def histories(config: RunConfig) -> dict[str, Any]:
    falling = [2.0 / (epoch + 1) + strength(config) for epoch in range(config.epochs)]
    found = {"history_loss": falling, "history_cross_entropy": falling}
    found["history_val_accuracy"] = [1.0 - value / 4 for value in falling]
    if config.method.startswith("reff"):
        found["history_penalty"] = [0.01 * value**4 for value in falling]
        found["history_zero_maps_stage4"] = [0.1] * config.epochs
        found["history_relevant_stage4"] = [0.4] * config.epochs
    if config.method == "abn":
        found["history_map"] = [0.1 * value for value in falling]
    return {**found, "val_accuracy": found["history_val_accuracy"][-1]}


def metrics(config: RunConfig) -> dict[str, Any]:
    score = strength(config)
    accuracies = {"test_accuracy": score, "worst_group_accuracy": score / 2}
    return {**accuracies, "epg": 0.8 * score, "epg_chance": 0.15}


def examples(config: RunConfig) -> dict[str, NDArray[Any]]:
    """Discs on textured ground: the same images for all runs of an image size."""
    size = config.image_size
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size] / size
    centers = rng.uniform(0.3, 0.7, (IMAGES, 2))
    half = config.digit_size is not None and config.digit_size < size
    radius = 0.12 if half else 0.25
    away = [np.hypot(rows - y, columns - x) for y, x in centers]
    mask = np.stack([distance < radius for distance in away]).astype(np.uint8)
    ground = rng.integers(0, 256, (IMAGES, size, size, 3), np.uint8)
    image = np.where(mask[..., None] == 1, 255 - ground // 2, ground // 2)
    label = np.arange(IMAGES)
    found: dict[str, NDArray[Any]] = {
        "image": image.astype(np.uint8),
        "mask": mask,
        "label": label,
        "index": 10 * label + half,
        "predicted": (label + (config.seed + label) % 2) % CLASSES,
        "class_names": np.array([str(digit) for digit in range(CLASSES)]),
    }
    for place, stage in enumerate(STAGES):
        found[stage] = maps(away, max(2, size // 2 ** (place + 1)), strength(config))
    if config.method.startswith("abn"):
        found["attention"] = found["stage4"]
    if config.uses_annotator:
        noise = rng.uniform(-0.5, 0.5, mask.shape)
        found["pseudo_mask"] = np.clip(mask + noise, 0, 1).astype(np.float32)
    return found


def maps(away: Sequence[NDArray[Any]], size: int, focus: float) -> NDArray[np.float32]:
    """Maps on the discs, sharper the better the run is; the last one empty."""
    picks = np.linspace(0, len(away[0]) - 1, size).astype(int)
    heat = [np.exp(-8 * focus * d[np.ix_(picks, picks)]) for d in away]
    heat[-1] = 0 * heat[-1]
    return np.stack(heat).astype(np.float32)
