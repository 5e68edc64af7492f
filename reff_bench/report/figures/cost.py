"""What a method costs against how accurate it is under the shift."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reff_bench.report.comparison import RANKED, Comparison, Line
from reff_bench.report.costs import BASELINE
from reff_bench.report.figures.figure import Figure, in_per_cent, make_chart, top_of
from reff_bench.report.figures.style import SMALL, title_of
from reff_bench.report.words import describe_supervision

COST = "cost"
MARKERS = {
    "none": ("o", "#000000"),
    "masks": ("s", "#0072B2"),
    "deployment masks": ("*", "#56B4E9"),
    "training groups": ("^", "#D55E00"),
    "validation groups": ("v", "#E69F00"),
}
TICKS = tuple(n * 10**power for power in range(-1, 5) for n in (1, 1.5, 2, 3, 5, 7))
LINE = 0.13  # inches that a label takes
AROUND = 0.9  # inches that title and scale take
SMALL_TEXT = {"fontsize": SMALL, "va": "center"}
LEADER = {"arrowstyle": "-", "color": "#bbbbbb", "linewidth": 0.5, "shrinkA": 0}
CAPTION = (
    "Test accuracy, mean over the seeds, by the time of all trainings that a method "
    "took for one seed, tuning included, in trainings of Baseline on the same data and "
    "device, by the same file. Bars: 95 % t-intervals. Of several rows of a method "
    "with one supervision the one that is best on validation images, never on the "
    "test, stands for it. A number after a name: its annotations."
)


def draw_cost(found: Comparison) -> Figure:
    """Draw every method's cost and test accuracy, each data setting in its own axes."""
    settings = {data: drawn_lines(found, data) for data in found.data}
    shown = {data: lines for data, lines in settings.items() if len(lines) > 1}
    if not shown:
        return Figure(COST, ("no finished Baseline to hold a method's cost against",))
    given = {line.first.supervision for lines in shown.values() for line in lines}
    handles = [
        Line2D([], [], color=color, marker=marker, linestyle="", label=kind)
        for kind, (marker, color) in MARKERS.items()
        if kind in given
    ]
    height = max(2.4, LINE * max(map(len, shown.values())) + AROUND)
    canvas, every = make_chart(
        "Test accuracy in per cent by the cost of all trainings, Baseline's one: 1",
        handles,
        [found.data[data] for data in shown],
        columns=1,
        height=height,
    )
    for axes, lines in zip(every, shown.values(), strict=True):
        _draw(axes, lines, LINE / (height - AROUND))
    return Figure(COST, (), CAPTION, canvas)


def drawn_lines(found: Comparison, data: str) -> list[Line]:
    """Return the line of each method and supervision whose cost is known.

    Those with the seeds that are ranked before others, then the best on `val`; empty
    without Baseline among them.
    """
    best: dict[tuple[str, str], Line] = {}
    lines = [o for o in found.lines if o.data == data and o.cost is not None]
    for line in sorted(
        lines, key=lambda o: (o.rank is None, -(o.mean("val_accuracy") or 0))
    ):
        if line.mean(RANKED) is not None:
            key = line.first.method, describe_supervision(line.first)
            best.setdefault(key, line)
    has_baseline = any(method == BASELINE for method, _ in best)
    return [*best.values()] if has_baseline else []


def _draw(axes: Axes, lines: Sequence[Line], gap: float) -> None:
    """Draw a setting's markers; their names to the right, `gap` of the height apart."""
    lines = sorted(lines, key=_accuracy)
    costs = [line.cost or 1.0 for line in lines]
    bounds = [line.interval(RANKED) for line in lines]
    ends = [min(1.0, within.high) for within in bounds if within is not None]
    top = top_of([*map(_accuracy, lines), *ends])
    places = spread([_accuracy(line) / top for line in lines], gap)
    for line, cost, within, place in zip(lines, costs, bounds, places, strict=True):
        marker, color = MARKERS[line.first.supervision]
        axes.plot(cost, _accuracy(line), marker, color=color)
        if within is not None:
            axes.vlines(cost, max(0.0, within.low), within.high, color=color, lw=0.7)
        axes.text(1.03, place, _label(line), SMALL_TEXT, transform=axes.transAxes)
        axes.annotate(
            "",
            (cost, _accuracy(line)),
            (1.02, place),
            textcoords="axes fraction",
            arrowprops=LEADER,
        )
    low, high = min(costs) / 1.2, max(costs) * 1.2
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("cost of all trainings for one seed, in trainings of Baseline")
    in_per_cent(axes, top)


def _accuracy(line: Line) -> float:
    return line.mean(RANKED) or 0.0


def _label(line: Line) -> str:
    given = line.first.settings.annotations
    few = line.first.uses_masks and given != "all"
    return title_of(line.first.method) + (f", {given}" if few else "")


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return ascending heights in [0, 1], moved until `gap` is between each two.

    Those that would leave at the top push the ones below them down.
    """
    steps = gap * np.arange(len(heights))
    free = np.asarray(heights) - steps
    moved = np.minimum(np.maximum.accumulate(free), 1 - gap * (len(heights) - 1))
    return [float(height) for height in moved + steps]
