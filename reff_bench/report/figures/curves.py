"""Means over seeds against the amount of annotation or a knob, with intervals."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reff_bench.catalog import known_method
from reff_bench.report.figures.chart import (
    Legend,
    Shape,
    chance_handle,
    draw_chance,
    in_per_cent,
    make_chart,
    method_handles,
    top_of,
)
from reff_bench.report.figures.drawing import Drawing, joined, nothing
from reff_bench.report.figures.study import Study, methods_of, most_annotated
from reff_bench.report.figures.style import Look, looks
from reff_bench.report.figures.words import (
    amount_in_words,
    has_numbers,
    means_in_words,
    setting_in_words,
    still_missing,
    told_apart,
    unit_in_words,
)
from reff_bench.report.tables import Panel
from reff_bench.report.words import selection_rule, show

TITLES = {
    "test_accuracy": "Test accuracy in per cent",
    "epg": "Energy pointing game in per cent",
}
HOW = {
    "test_accuracy": "Accuracy per sample under the test's knobs.",
    "epg": "EPG: mean share of a map's energy inside the mask, of Grad-CAM of stage 4 "
    "for the label, of ABN's attention map; chance: the masks' mean area.",
}
AXES = {
    "annotations": "amount of annotation",
    "tex": "digit-texture randomness tex",
    "bg": "background randomness bg",
}
NOTHING = (math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart of this kind.

    Attributes:
        name: of the figure.
        axis: the field of a cell that goes to the right.
        value: of a record, in [0, 1], that goes up.
    """

    name: str
    axis: str
    value: str

    @property
    def by_amount(self) -> bool:
        """Whether the amount of annotation goes to the right."""
        return self.axis == "annotations"


CURVES = (
    Curve("accuracy_annotations", "annotations", "test_accuracy"),
    Curve("epg_annotations", "annotations", "epg"),
    Curve("accuracy_tex", "tex", "test_accuracy"),
    Curve("accuracy_bg", "bg", "test_accuracy"),
)


def draw_curves(study: Study) -> Iterator[Drawing]:
    """Yield every chart of this kind, each setting of the grid in axes of its own."""
    for curve in CURVES:
        rows = study.rows if curve.by_amount else most_annotated(study.rows)
        settings = study.settings(curve.axis, curve.value, of=rows)
        planned = [panel for panel in settings if len(panel.rows) > 1]
        panels = [panel for panel in planned if has_numbers(panel)]
        lacks = still_missing(planned, curve.value)
        if panels:
            figure, caption = _draw(study, curve, panels)
            yield Drawing(curve.name, figure, caption, lacks)
        else:
            alone = f"the grid has no two values of {curve.axis} to compare"
            yield nothing(curve.name, *(lacks if planned else (alone,)))


def _draw(study: Study, curve: Curve, panels: Sequence[Panel]) -> tuple[Figure, str]:
    """Return the figure and its caption."""
    cells = [row for panel in panels for row in panel.cells]
    methods = [name for name in methods_of(cells) if _has_points(name, panels)]
    if not curve.by_amount:
        methods = [name for name in methods if _is_compared(name, panels)]
    chances = [chance_level(study, panel, curve.value) for panel in panels]
    known = [chance for chance in chances if chance is not None]
    handles = [*method_handles(methods), *([chance_handle()] if known else [])]
    caption = joined(
        [
            HOW[curve.value],
            "" if curve.by_amount else amount_in_words(cells),
            means_in_words(panels),
            setting_in_words(cells),
            selection_rule(study.plan.select, study.selection),
        ]
    )
    title = f"{TITLES[curve.value]} by {AXES[curve.axis]}"
    names = told_apart(panels)
    figure, every = make_chart(title, Legend(handles), names, Shape())
    top = top_of([*highest(panels), *known])
    for axes, panel, chance in zip(every, panels, chances, strict=True):
        _draw_panel(axes, panel, looks(methods), by_amount=curve.by_amount)
        in_per_cent(axes, top)
        draw_chance(axes, chance)
        words = unit_in_words(cells) if curve.by_amount else AXES[curve.axis]
        axes.set_xlabel(words)
    return figure, caption


def _has_points(method: str, panels: Sequence[Panel]) -> bool:
    return any(points(panel, method) for panel in panels)


def _is_compared(method: str, panels: Sequence[Panel]) -> bool:
    """Whether the grid has a method at more than one value of a knob."""
    return any(
        sum((row, method) in panel.entries for row in panel.rows) > 1
        for panel in panels
    )


def chance_level(study: Study, panel: Panel, value: str) -> float | None:
    """Return what guessing, or a uniform map, would score; None where unknown."""
    if value == "epg":
        found = (row.metrics.get("epg_chance") for row in panel.cells)
        areas = [area for area in found if area]
        return fmean(areas) if areas else None
    done = (row for row in panel.cells if row.status == "done")
    shown = (arrays for row in done if (arrays := study.examples(row)) is not None)
    first = next(shown, None)
    return None if first is None else 1 / len(first["class_names"])


def _draw_panel(
    axes: Axes, panel: Panel, styles: Mapping[str, Look], *, by_amount: bool
) -> None:
    """Draw a line with its band for each method of one setting."""
    places = _places(panel.rows)
    ends = [min(places.values()), max(places.values())]
    for method, look in styles.items():
        found, x = points(panel, method), list(places.values())
        if by_amount and found and not known_method(method).uses_masks:
            # What needs no annotations is the same at every amount.
            found, x = dict(enumerate([*found.values()][:1] * 2)), ends
        else:
            # A line is broken where a run is missing.
            found = {value: found.get(value, NOTHING) for value in places}
        mean, low, high = ([p[k] for p in found.values()] for k in range(3))
        axes.plot(x, mean, color=look.color, linestyle=look.line, marker=look.marker)
        axes.fill_between(x, low, high, color=look.color, alpha=0.13, linewidth=0)
    axes.set_xticks(list(places.values()), [show(value) for value in places])


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


def _places(values: Sequence[Any]) -> dict[Any, float]:
    """Return where each value stands: knobs to scale, amounts evenly."""
    if all(isinstance(value, float) for value in values):
        return {value: value for value in values}
    return {value: float(place) for place, value in enumerate(values)}
