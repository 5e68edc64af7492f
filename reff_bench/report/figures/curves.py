"""Charts with a line for each method: means over seeds, and losses by epoch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, MaxNLocator

from reff_bench.catalog.methods import known_method
from reff_bench.report.figures.figure import (
    CHANCE,
    Figure,
    chance_handle,
    in_per_cent,
    make_chart,
    method_handles,
    top_of,
)
from reff_bench.report.figures.runs import (
    RunSet,
    caption_of,
    has_numbers,
    means_in_words,
    methods_of,
    missing_methods,
    missing_values,
    most_annotated,
    of_method,
    setting_names,
    unit_in_words,
)
from reff_bench.report.figures.style import LineStyle, line_styles
from reff_bench.report.tables import Panel
from reff_bench.report.words import show
from reff_bench.results.folder import RunRecord

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
LEARNING = "learning"
LEFT_OUT = ("relevant_", "swapped")  # of the masks, not of the learning
EMPTY = "zero_maps_"
FRACTIONS = ("val_accuracy", EMPTY)
TERMS = {
    "loss": "sum that is minimized",
    "cross_entropy": "cross-entropy",
    "attention_cross_entropy": "cross-entropy, ABN's branch",
    "penalty": "penalty on the maps",
    "map": "map loss of ABN",
    "val_accuracy": "validation accuracy in %",
}
SPAN = 30.0  # a term that varies by more is drawn to a logarithmic scale


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
        _draw_panel(axes, panel, line_styles(methods), by_budget=axis == "annotations")
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
    axes: Axes, panel: Panel, styles: Mapping[str, LineStyle], *, by_budget: bool
) -> None:
    """Draw a line with its band for each method of one setting."""
    positions = _positions(panel.rows)
    for method, style in styles.items():
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
        axes.plot(x, mean, **style._asdict())
        axes.fill_between(x, low, high, color=style.color, alpha=0.13, linewidth=0)
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


def draw_learning(runs: RunSet) -> Figure:
    """Draw every loss term of the runs with most annotations, by epoch."""
    rows = most_annotated(runs.main)
    trained = [row for row in rows if row.history.get("loss")]
    terms = _terms(trained)
    if not terms:
        return Figure(LEARNING, ("no run has a history yet",))
    caption = caption_of(
        "Means over each epoch and the seeds that are done, of each term before its "
        "weight; empty maps: the fraction of maps without any positive value.",
        rows=trained,
        runs=runs,
    )
    canvas, every = make_chart(
        "Learning curves of each loss term",
        method_handles(methods_of(trained)),
        [_name(term) for term in terms],
        columns=4,
        height=1.6,
    )
    for axes, term in zip(every, terms, strict=True):
        _draw_term(axes, term, trained)
    return Figure(LEARNING, missing_methods(rows, trained), caption, canvas)


def _name(term: str) -> str:
    if term.startswith(EMPTY):
        return f"% empty maps, {term.removeprefix(EMPTY)}".replace("stage", "stage ")
    return TERMS.get(term, term.replace("_", " "))


def _terms(rows: Sequence[RunRecord]) -> list[str]:
    """Return the names of what was noted, the loss first and fractions last."""
    found = {name for row in rows for name, values in row.history.items() if values}
    kept = [name for name in found if not name.startswith(LEFT_OUT)]
    first = [name for name in TERMS if name in kept]
    others = sorted(set(kept) - set(first))
    return sorted([*first, *others], key=lambda name: name.startswith(FRACTIONS))


def _draw_term(axes: Axes, term: str, rows: Sequence[RunRecord]) -> None:
    every: list[float] = []
    for method, style in line_styles(methods_of(rows)).items():
        means = _means(of_method(rows, method), term)
        every += means
        axes.plot(
            range(1, len(means) + 1),
            means,
            **style._asdict(),
            markersize=3.2,
            markevery=max(1, len(means) // 5),
        )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(True, axis="y")
    if term.startswith(FRACTIONS):
        in_per_cent(axes)
    elif min(every) > 0 and max(every) > SPAN * min(every):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")


def _means(rows: Sequence[RunRecord], name: str) -> list[float]:
    """Return the mean over the runs that have a history, by epoch."""
    histories = [row.history[name] for row in rows if row.history.get(name)]
    return [fmean(values) for values in zip(*histories, strict=True)]
