"""How much of which work a cell is: `make_bill`."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reff_bench.catalog import plain
from reff_bench.cost.kinds import (
    ANNOTATE,
    DRAW,
    FOCUS,
    PREDICT,
    Kind,
    annotator_kind,
    net_kind,
    train_kind,
)
from reff_bench.cost.sizes import Sizes, count_annotated, count_images
from reff_bench.grid import Cell
from reff_bench.grid.fields import TRAINING_KEYS

FOCUS_SAMPLES = 256  # of the test split, at most, on which maps are measured
PANEL_SAMPLES = 8  # at most, one of a class
OTHER_BACKGROUNDS = 3  # aligned, random, twin
HELD_OUT = 1000  # validation images, at most, on which an annotator is judged
# What a pseudo-annotator doesn't depend on.
CLASSIFIER_ONLY = {
    *({*TRAINING_KEYS} - {"annotation_unit", "threads"}),
    *("method", "root", "weights_identity"),
}


@dataclass(frozen=True, slots=True)
class Bill:
    """The work of one cell.

    Attributes:
        parts: how often each kind of work is done for this cell alone.
        annotator: what stands for its pseudo-annotator, None where it has none; cells
            of one key share it.
        annotator_parts: how often each kind of work is done for the annotator.
    """

    parts: Mapping[Kind, float]
    annotator: str | None
    annotator_parts: Mapping[Kind, float]


def make_bill(cell: Cell) -> Bill:
    """Return the work of a cell, from its data to its metrics.

    A step with fewer images than a batch counts as the share of them. Reading and
    rendering pixels, checkpoints and the start of a process aren't counted.
    """
    sizes = count_images(cell)
    steps = cell.epochs * sizes.train / cell.batch_size
    focus = min(FOCUS_SAMPLES, sizes.test) if sizes.masked_test else 0
    predicted = cell.epochs * sizes.val + sizes.val + sizes.val_shifted + sizes.test
    if cell.dataset == "textured_mnist":
        predicted += OTHER_BACKGROUNDS * focus
    parts = {
        train_kind(cell): steps,
        net_kind(PREDICT, cell): float(predicted),
        net_kind(FOCUS, cell): float(focus + min(PANEL_SAMPLES, sizes.classes)),
    }
    annotated = count_annotated(cell, sizes)
    if not cell.uses_annotator or annotated == sizes.train:
        return Bill(parts, None, {})
    return Bill(parts, annotator_key(cell), _annotator_parts(cell, sizes, annotated))


def annotator_key(cell: Cell) -> str:
    """Return what stands for a cell's pseudo-annotator: cells of one key share it."""
    free = {*CLASSIFIER_ONLY, *plain(cell.options)}
    fields = {name: value for name, value in cell.flat().items() if name not in free}
    return json.dumps(fields, sort_keys=True)


def work_of(cells: Iterable[Cell]) -> dict[Kind, Cell]:
    """Return every kind of work of some cells, each with a cell that has it."""
    found: dict[Kind, Cell] = {}
    for cell in cells:
        bill = make_bill(cell)
        for kind in (*bill.parts, *bill.annotator_parts):
            found.setdefault(kind, cell)
    return found


def _annotator_parts(cell: Cell, sizes: Sizes, annotated: int) -> dict[Kind, float]:
    drawn = sizes.train - annotated + min(HELD_OUT, sizes.val)
    return {
        annotator_kind(ANNOTATE, cell, annotated): float(cell.annotator_steps),
        annotator_kind(DRAW, cell, annotated): float(drawn),
    }
