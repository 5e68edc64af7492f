"""Accuracies as bars: what the shift costs each method, and its worst group."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from reff_bench.catalog.methods import known_method
from reff_bench.report.figures.curves import highest, points
from reff_bench.report.figures.figure import (
    CHANCE,
    Figure,
    chance_handle,
    in_per_cent,
    make_chart,
    top_of,
)
from reff_bench.report.figures.runs import (
    RunSet,
    budgets,
    caption_of,
    has_numbers,
    main_rows,
    means_in_words,
    methods_of,
    missing_methods,
    missing_values,
    most_annotated,
    of_method,
    setting_names,
    unit_in_words,
)
from reff_bench.report.figures.style import label_of, title_of
from reff_bench.report.tables import Panel
from reff_bench.report.words import show
from reff_bench.results.folder import RunRecord

GAP, WORST_GROUP = "gap", "worst_group"
CLASSES = 10  # of Textured MNIST, the data that have a shift
BARS: Mapping[str, tuple[str, str]] = {  # value -> its color, and what it is
    "val_accuracy": ("#A9C4DE", "background as in training (validation)"),
    "test_accuracy": ("#0B4F8A", "background says nothing (test)"),
}
WIDTH = 0.8  # of a method's bars
MANY = 10  # more methods than these have their names upright
UNANNOTATED, SEEDS = "#333333", "#E69F00"


def draw_gap(runs: RunSet) -> Figure:
    """Draw every method's accuracy under the training's randomness and the test's."""
    rows = most_annotated(runs.main)
    if not rows or any(row.settings.test_bg is None for row in rows):
        return Figure(GAP, ("no run whose test has another background randomness",))
    done = [row for row in rows if "test_accuracy" in row.metrics]
    missing = missing_methods(rows, done)
    if not done:
        return Figure(GAP, missing)
    if {row.settings.bg for row in done} == {row.settings.test_bg for row in done}:
        return Figure(GAP, ("the test has the training's background randomness",))
    caption = caption_of(
        "Accuracy per sample on validation images, whose backgrounds are drawn as in "
        "training, and on test images, whose backgrounds say nothing about the label: "
        "what lies between is what a network owes to the background. Bars: means over "
        "the seeds; dots: each seed.",
        rows=done,
        runs=runs,
    )
    handles = [Patch(color=color, label=what) for color, what in BARS.values()]
    title = "Accuracy in per cent, with the training's backgrounds and without"
    canvas, (axes,) = make_chart(title, [*handles, chance_handle()])
    _draw_gaps(axes, done)
    return Figure(GAP, missing, caption, canvas)


def _draw_gaps(axes: Axes, rows: Sequence[RunRecord]) -> None:
    methods = methods_of(rows)
    for x, method in enumerate(methods):
        own = of_method(rows, method)
        for side, (name, (color, _)) in zip((-1, 1), BARS.items(), strict=True):
            values = [row.metrics[name] for row in own]
            middle = x + side * WIDTH / 4
            axes.bar(middle, fmean(values), 0.46 * WIDTH, color=color)
            mean = f"{100 * fmean(values):.0f}"
            axes.text(middle, max(values) + 0.02, mean, ha="center")
            if len(values) > 1:
                spread = np.linspace(-0.1, 0.1, len(values))
                axes.plot(middle + spread, values, "o", color=SEEDS, markersize=2.2)
    axes.axhline(1 / CLASSES, **CHANCE)
    in_per_cent(axes)
    axes.set_ylim(0.0, 1.08)
    _name_methods(axes, methods)


def draw_worst_groups(runs: RunSet) -> Figure:
    """Draw the worst group's test accuracy by method and budget, per setting."""
    value = "worst_group_accuracy"
    planned = runs.settings("annotations", value, of=main_rows(runs.rows))
    panels = [panel for panel in planned if has_numbers(panel)]
    missing = missing_values(planned, value)
    if not panels:
        return Figure(WORST_GROUP, missing or ("no run in the grid",))
    top = top_of(highest(panels))
    if not max(highest(panels)):
        zero = "the worst group's accuracy is 0 in every run"
        return Figure(WORST_GROUP, (zero, *missing))
    configs = [row for panel in panels for row in panel.configs]
    caption = caption_of(
        "Test accuracy of the worst group; groups are label and whether the background "
        "is one of the label's, where the data have backgrounds.",
        means_in_words(panels),
        rows=configs,
        runs=runs,
    )
    steps = np.linspace(0.25, 0.95, len(budgets(configs)))
    shades = dict(zip(budgets(configs), colormaps["Blues"](steps), strict=True))
    handles = [Patch(color=color, label=show(n)) for n, color in shades.items()]
    handles.append(Patch(color=UNANNOTATED, label="uses none"))
    canvas, every = make_chart(
        "Test accuracy of the worst group in per cent by annotation budget",
        handles,
        setting_names(panels),
        columns=1,
        legend_title=unit_in_words(configs),
    )
    for axes, panel in zip(every, panels, strict=True):
        _draw_budgets(axes, panel, shades)
        in_per_cent(axes, top)
    return Figure(WORST_GROUP, missing, caption, canvas)


def _draw_budgets(axes: Axes, panel: Panel, shades: Mapping[Any, Any]) -> None:
    wide = WIDTH / len(shades)
    for x, method in enumerate(panel.columns):
        found = points(panel, method)
        if found and not known_method(method).uses_masks:
            found = {None: next(iter(found.values()))}
        for number, (budget, (mean, low, high)) in enumerate(found.items()):
            middle = x + wide * (number - (len(found) - 1) / 2)
            color = shades.get(budget, UNANNOTATED)
            axes.bar(middle, mean, 0.92 * wide, color=color)
            if low < high:
                axes.vlines(middle, low, high, color=SEEDS, linewidth=0.9)
    _name_methods(axes, panel.columns)


def _name_methods(axes: Axes, methods: Sequence[str]) -> None:
    upright = len(methods) > MANY
    name = title_of if upright else label_of
    angle = 90 if upright else 0
    axes.set_xticks(range(len(methods)), map(name, methods), rotation=angle)
    axes.set_xlim(-0.6, len(methods) - 0.4)
    axes.tick_params(axis="x", length=0)
