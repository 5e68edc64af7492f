"""Means over seeds against the annotation budget or a randomness, with intervals."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from reff_bench.catalog.methods import known_method
from reff_bench.report.figures.captions import (
    caption_of,
    has_numbers,
    means_in_words,
    missing_values,
    setting_names,
    unit_in_words,
)
from reff_bench.report.figures.figure import (
    CHANCE,
    Figure,
    chance_handle,
    in_per_cent,
    make_chart,
    method_handles,
    top_of,
)
from reff_bench.report.figures.runs import RunSet, methods_of, most_annotated
from reff_bench.report.figures.style import Look, looks
from reff_bench.report.tables import Panel
from reff_bench.report.words import show

TITLES = {
    "test_accuracy": "Test accuracy in per cent",
    "epg": "Energy pointing game in per cent",
}
HOW = {
    "test_accuracy": "Accuracy per sample under the test's randomness.",
    "epg": "EPG: mean fraction of a map's energy inside the mask, of Grad-CAM of stage "
    "4 for the label, of ABN's attention map; chance: the masks' mean area.",
}
AXES = {
    "annotations": "annotation budget",
    "tex": "digit-texture randomness tex",
    "bg": "background randomness bg",
}
NOTHING = (math.nan, math.nan, math.nan)


CURVES = (  # name, the field that goes to the right, the value in [0, 1] that goes up
    ("accuracy_annotations", "annotations", "test_accuracy"),
    ("epg_annotations", "annotations", "epg"),
    ("accuracy_tex", "tex", "test_accuracy"),
    ("accuracy_bg", "bg", "test_accuracy"),
)


def draw_curves(runs: RunSet) -> Iterator[Figure]:
    """Yield every chart of this kind, each setting of the grid in axes of its own."""
    for name, axis, value in CURVES:
        by_budget = axis == "annotations"
        rows = runs.rows if by_budget else most_annotated(runs.rows)
        settings = runs.settings(axis, value, of=rows)
        planned = [panel for panel in settings if len(panel.rows) > 1]
        panels = [panel for panel in planned if has_numbers(panel)]
        if panels:
            canvas, caption = _draw(runs, axis, value, panels)
            yield Figure(name, missing_values(planned, value), caption, canvas)
        else:
            alone = f"the grid has no two values of {axis} to compare"
            missing = missing_values(planned, value) if planned else (alone,)
            yield Figure(name, missing)


def _draw(
    runs: RunSet, axis: str, value: str, panels: Sequence[Panel]
) -> tuple[Canvas, str]:
    """Return what is drawn, and its caption."""
    configs = [row for panel in panels for row in panel.configs]
    least = 1 if axis == "annotations" else 2  # else there is nothing to compare
    methods = [
        method
        for method in methods_of(configs)
        if max(sum((row, method) in p.entries for row in p.rows) for p in panels)
        >= least
        and any(points(panel, method) for panel in panels)
    ]
    chances = [_chance_level(runs, panel, value) for panel in panels]
    known = [chance for chance in chances if chance is not None]
    canvas, every = make_chart(
        f"{TITLES[value]} by {AXES[axis]}",
        [*method_handles(methods), *([chance_handle()] if known else [])],
        setting_names(panels),
    )
    top = top_of([*highest(panels), *known])
    for axes, panel, chance in zip(every, panels, chances, strict=True):
        _draw_panel(axes, panel, looks(methods), by_budget=axis == "annotations")
        in_per_cent(axes, top)
        if chance is not None:
            axes.axhline(chance, **CHANCE)
        axes.set_xlabel(unit_in_words(configs) if axis == "annotations" else AXES[axis])
    caption = caption_of(HOW[value], means_in_words(panels), rows=configs, runs=runs)
    return canvas, caption


def _chance_level(runs: RunSet, panel: Panel, value: str) -> float | None:
    """Return what guessing, or a uniform map, would score; None where unknown."""
    if value == "epg":
        found = (row.metrics.get("epg_chance") for row in panel.configs)
        areas = [area for area in found if area]
        return fmean(areas) if areas else None
    done = (row for row in panel.configs if row.status == "done")
    shown = (arrays for row in done if (arrays := runs.examples(row)) is not None)
    first = next(shown, None)
    return None if first is None else 1 / len(first["class_names"])


def _draw_panel(
    axes: Axes, panel: Panel, styles: Mapping[str, Look], *, by_budget: bool
) -> None:
    """Draw a line with its band for each method of one setting."""
    positions = _positions(panel.rows)
    for method, look in styles.items():
        found = points(panel, method)
        if by_budget and found and not known_method(method).uses_masks:
            # What needs no annotations is the same at every budget.
            ends = (panel.rows[0], panel.rows[-1])
            found = dict.fromkeys(ends, next(iter(found.values())))
        else:
            # A line is broken where a run is missing.
            found = {value: found.get(value, NOTHING) for value in panel.rows}
        x = [positions[value] for value in found]
        mean, low, high = zip(*found.values(), strict=True)
        axes.plot(x, mean, **look._asdict())
        axes.fill_between(x, low, high, color=look.color, alpha=0.13, linewidth=0)
    axes.set_xticks(list(positions.values()), [show(value) for value in positions])


def points(panel: Panel, method: str) -> dict[Any, tuple[float, float, float]]:
    """Return mean, low and high by the row's value, where there are any.

    The interval is cut to [0, 1]; of one seed it is the value itself.
    """
    found = {}
    for value in panel.rows:
        entry = panel.entries.get((value, method))
        if entry is not None and entry.mean is not None:
            low = entry.mean if entry.low is None else max(0.0, entry.low)
            high = entry.mean if entry.high is None else min(1.0, entry.high)
            found[value] = entry.mean, low, high
    return found


def highest(panels: Sequence[Panel]) -> list[float]:
    """Return the upper end of every interval."""
    return [
        high
        for panel in panels
        for method in panel.columns
        for _, _, high in points(panel, method).values()
    ]


def _positions(values: Sequence[Any]) -> dict[Any, float]:
    """Return where each value stands: randomness to scale, budgets evenly."""
    if all(isinstance(value, float) for value in values):
        return {value: value for value in values}
    return {value: float(number) for number, value in enumerate(values)}
