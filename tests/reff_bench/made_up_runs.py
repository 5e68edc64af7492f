"""A folder of runs made by code: plan, records, evaluations, example maps."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from reff_bench.catalog import STAGES, known_method
from reff_bench.grid import Cell
from reff_bench.report.figures.curves import draw_curves
from reff_bench.report.figures.runs import RunSet
from reff_bench.results import (
    CELL_NAME,
    EVALUATION_NAME,
    Plan,
    cell_folder,
    find_runs,
    make_record,
    write_panels,
    write_plan,
    write_record,
)
from tests.reff_bench.fakes import make_cell, make_plan
from texturedmnist.common.files import write_atomically

AMOUNTS: tuple[Any, ...] = (1, 5, 10, 20, 50, "all")
METHODS = ("baseline", "reff", "reff_l1", "reff_l2", "abn", "reff_plus")
IMAGES, CLASSES = 4, 10


def study_cells(
    methods: Sequence[str] = METHODS,
    amounts: Sequence[Any] = AMOUNTS,
    seeds: Sequence[int] = (0, 1, 2),
    **fields: Any,
) -> list[Cell]:
    return [
        make_cell(method, annotations=amount, seed=seed, **fields)
        for method in methods
        for amount in amounts
        for seed in seeds
    ]


def write_runs(
    out: Path, cells: Sequence[Cell], done: Callable[[Cell], bool], **select: Any
) -> Plan:
    """Write a plan, and results of those cells that are done."""
    plan = make_plan(list(cells), **select)
    write_plan(out, plan)
    for cell in cells:
        if done(cell):
            write_run(cell_folder(out, cell), cell)
    return plan


def study_of(out: Path, cells: list[Cell], **select: Any) -> RunSet:
    """A folder in which every cell is done."""
    plan = write_runs(out, cells, lambda _: True, **select)
    return RunSet(find_runs(out, plan))


def figure_of(study: RunSet, name: str) -> Canvas:
    """The chart of this name, among the curves."""
    (figure,) = (one for one in draw_curves(study) if one.name == name)
    assert figure.canvas is not None
    return figure.canvas


def write_run(folder: Path, cell: Cell, **evaluation: Any) -> None:
    """Write all that a trained and evaluated run leaves but its weights."""
    write_atomically(folder / CELL_NAME, cell.model_dump_json())
    write_record(folder, make_record(cell, "done", **histories(cell)))
    write_record(folder, {**metrics(cell), **evaluation}, EVALUATION_NAME)
    write_panels(folder, examples(cell))


def strength(cell: Cell) -> float:
    """How good a run is, in [0, 1]: more with annotations, a little with the seed."""
    many = AMOUNTS.index(cell.annotations) / 5
    gain = many if known_method(cell.method).uses_masks else 0.0
    place = METHODS.index(cell.method) if cell.method in METHODS else 0
    return 0.2 + 0.4 * gain + 0.04 * place + 0.02 * cell.seed


def histories(cell: Cell) -> dict[str, Any]:
    falling = [2.0 / (epoch + 1) + strength(cell) for epoch in range(cell.epochs)]
    found = {"history_loss": falling, "history_cross_entropy": falling}
    found["history_val_accuracy"] = [1.0 - value / 4 for value in falling]
    if cell.method.startswith("reff"):
        found["history_penalty"] = [0.01 * value**4 for value in falling]
        found["history_zero_maps_stage4"] = [0.1] * cell.epochs
        found["history_relevant_stage4"] = [0.4] * cell.epochs
    if cell.method == "abn":
        found["history_map"] = [0.1 * value for value in falling]
    return {**found, "val_accuracy": found["history_val_accuracy"][-1]}


def metrics(cell: Cell) -> dict[str, Any]:
    score = strength(cell)
    accuracies = {"test_accuracy": score, "worst_group_accuracy": score / 2}
    return {**accuracies, "epg": 0.8 * score, "epg_chance": 0.15}


def examples(cell: Cell) -> dict[str, NDArray[Any]]:
    """Discs on textured ground: the same images for all cells of an image size."""
    size = cell.image_size
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size] / size
    centres = rng.uniform(0.3, 0.7, (IMAGES, 2))
    half = cell.digit_size is not None and cell.digit_size < size
    radius = 0.12 if half else 0.25
    away = [np.hypot(rows - y, columns - x) for y, x in centres]
    mask = np.stack([distance < radius for distance in away]).astype(np.uint8)
    ground = rng.integers(0, 256, (IMAGES, size, size, 3), np.uint8)
    image = np.where(mask[..., None] == 1, 255 - ground // 2, ground // 2)
    label = np.arange(IMAGES)
    found: dict[str, NDArray[Any]] = {
        "image": image.astype(np.uint8),
        "mask": mask,
        "label": label,
        "index": 10 * label + half,
        "predicted": (label + (cell.seed + label) % 2) % CLASSES,
        "class_names": np.array([str(digit) for digit in range(CLASSES)]),
    }
    for place, stage in enumerate(STAGES):
        found[stage] = maps(away, max(2, size // 2 ** (place + 1)), strength(cell))
    if cell.method.startswith("abn"):
        found["attention"] = found["stage4"]
    if cell.uses_annotator:
        noise = rng.uniform(-0.5, 0.5, mask.shape)
        found["pseudo_mask"] = np.clip(mask + noise, 0, 1).astype(np.float32)
    return found


def maps(away: Sequence[NDArray[Any]], size: int, focus: float) -> NDArray[np.float32]:
    """Maps on the discs, sharper the better the run is; the last one empty."""
    picks = np.linspace(0, len(away[0]) - 1, size).astype(int)
    heat = [np.exp(-8 * focus * d[np.ix_(picks, picks)]) for d in away]
    heat[-1] = 0 * heat[-1]
    return np.stack(heat).astype(np.float32)
