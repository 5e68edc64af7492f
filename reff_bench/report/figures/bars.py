"""Accuracy of the worst group, as bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from reff_bench.catalog import known_method
from reff_bench.report.figures.chart import (
    Legend,
    Shape,
    in_per_cent,
    make_chart,
    top_of,
)
from reff_bench.report.figures.curves import highest, points
from reff_bench.report.figures.drawing import Drawing, joined, nothing
from reff_bench.report.figures.study import Study, amounts, main_rows
from reff_bench.report.figures.style import label_of
from reff_bench.report.figures.words import (
    has_numbers,
    means_in_words,
    setting_in_words,
    still_missing,
    told_apart,
    unit_in_words,
)
from reff_bench.report.tables import Panel
from reff_bench.report.words import selection_rule, show

NAME, VALUE = "worst_group", "worst_group_accuracy"
UNANNOTATED, INTERVAL = "#333333", "#E69F00"


def draw_worst_groups(study: Study) -> Drawing:
    """Draw the worst group's test accuracy by method and amount, per setting."""
    planned = study.settings("annotations", VALUE, of=main_rows(study.rows))
    panels = [panel for panel in planned if has_numbers(panel)]
    lacks = still_missing(planned, VALUE)
    if not panels:
        return nothing(NAME, *(lacks or ("no run in the grid",)))
    if not max(highest(panels)):
        return nothing(NAME, "the worst group's accuracy is 0 in every run", *lacks)
    cells = [row for panel in panels for row in panel.cells]
    caption = joined(
        [
            "Test accuracy of the worst group; groups are label and whether the "
            "background is one of the label's, where the data have backgrounds.",
            means_in_words(panels),
            setting_in_words(cells),
            selection_rule(study.plan.select, study.selection),
        ]
    )
    shades = _shades(panels)
    handles = [Patch(color=color, label=show(n)) for n, color in shades.items()]
    handles.append(Patch(color=UNANNOTATED, label="uses none"))
    legend = Legend(handles, unit_in_words(cells), len(handles))
    title = "Test accuracy of the worst group in per cent by amount of annotation"
    figure, every = make_chart(
        title, legend, told_apart(panels), Shape(1, 1.5, wide=True)
    )
    top = top_of(highest(panels))
    for axes, panel in zip(every, panels, strict=True):
        _draw_panel(axes, panel, shades)
        in_per_cent(axes, top)
    return Drawing(NAME, figure, caption, lacks)


def _shades(panels: Sequence[Panel]) -> dict[Any, Any]:
    """Return a colour per amount, from light to dark."""
    found = amounts(row for panel in panels for row in panel.cells)
    steps = np.linspace(0.25, 0.95, len(found))
    return dict(zip(found, colormaps["Blues"](steps), strict=True))


def _draw_panel(axes: Axes, panel: Panel, shades: Mapping[Any, Any]) -> None:
    wide = 0.8 / len(shades)
    for place, method in enumerate(panel.columns):
        found = points(panel, method)
        if found and not known_method(method).uses_masks:
            found = {None: next(iter(found.values()))}
        for number, (amount, (mean, low, high)) in enumerate(found.items()):
            x = place + wide * (number - (len(found) - 1) / 2)
            color = shades.get(amount, UNANNOTATED)
            axes.bar(x, mean, 0.92 * wide, color=color)
            if low < high:
                axes.vlines(x, low, high, color=INTERVAL, linewidth=0.9)
    axes.set_xticks(range(len(panel.columns)), [label_of(m) for m in panel.columns])
    axes.set_xlim(-0.6, len(panel.columns) - 0.4)
    axes.tick_params(axis="x", length=0)
