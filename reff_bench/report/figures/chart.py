"""Axes, legend and words of a chart, placed to the inch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reff_bench.report.figures.sheet import wrap
from reff_bench.report.figures.style import WIDTH, looks, title_of

LEFT, RIGHT, BETWEEN = 0.50, 0.08, 0.52  # inches beside the axes
TOP, NAMES, LABELS = 0.32, 0.15, 0.40  # above all, above and below each row of axes
NARROW = 4.6  # of a figure with axes alone
ENTRY, FOOT = 0.17, 0.08  # of a line of the legend, below all


@dataclass(frozen=True, slots=True)
class Legend:
    """What stands below the axes.

    Attributes:
        handles: what its entries look like.
        title: over them; may be empty.
        columns: entries in a line, in a wide figure.
    """

    handles: Sequence[Artist]
    title: str = ""
    columns: int = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """How axes are placed.

    Attributes:
        columns: of axes, at most.
        height: of each, inches.
        wide: whether even axes alone are as wide as a page.
    """

    columns: int = 3
    height: float = 2.0
    wide: bool = False


def make_chart(
    title: str, legend: Legend, names: Sequence[str], shape: Shape
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its empty axes, a legend below them.

    Args:
        title: above all.
        legend: of all the axes.
        names: of the axes, which may be empty; as many axes are made.
        shape: of the axes.
    """
    wide = shape.wide or len(names) > 1
    width = WIDTH if wide else NARROW
    in_line = min(legend.columns if wide else 3, len(legend.handles))
    lines = math.ceil(len(legend.handles) / in_line) + bool(legend.title)
    columns = min(shape.columns, len(names))
    side = (width - LEFT - RIGHT - (columns - 1) * BETWEEN) / columns
    names = [wrap(name, side + BETWEEN - 0.1, size=8.0) for name in names]
    head = max(0.04 + NAMES * len(name.splitlines()) for name in names)
    rows = math.ceil(len(names) / columns)
    each = head + shape.height + LABELS
    height = TOP + rows * each + 0.06 + ENTRY * lines + FOOT
    figure = Figure(figsize=(width, height))
    _write(figure, 0.17, title, fontsize=8.5, weight="bold", va="center")
    figure.legend(
        handles=list(legend.handles),
        title=legend.title or None,
        title_fontsize=7.5,
        loc="lower center",
        bbox_to_anchor=(0.5, FOOT / height),
        ncols=in_line,
        frameon=False,
        borderaxespad=0.0,
        labelspacing=0.35,
        handlelength=2.6,
    )
    return figure, _place_axes(figure, names, shape, head, side)


def _write(figure: Figure, down: float, text: str, **style: Any) -> None:
    """Write at the left edge, `down` inches from the top."""
    width, height = figure.get_size_inches()
    figure.text(0.04 / width, 1 - down / height, text, linespacing=1.15, **style)


def _place_axes(
    figure: Figure, names: Sequence[str], shape: Shape, head: float, side: float
) -> list[Axes]:
    """Add axes `side` inches wide, row by row, each with its name on `head` inches."""
    width, height = figure.get_size_inches()
    columns = min(shape.columns, len(names))
    axes = []
    for place, name in enumerate(names):
        row, column = divmod(place, columns)
        left = LEFT + column * (side + BETWEEN)
        top = TOP + row * (head + shape.height + LABELS) + head
        bottom = height - top - shape.height
        box = left / width, bottom / height, side / width, shape.height / height
        axes.append(figure.add_axes(box, title=name))
    return axes


def method_handles(methods: Sequence[str]) -> list[Artist]:
    """Return the legend's entries of some methods."""
    return [
        Line2D(
            [],
            [],
            color=look.color,
            marker=look.marker,
            linestyle=look.line,
            label=title_of(name),
        )
        for name, look in looks(methods).items()
    ]


def chance_handle() -> Line2D:
    """Return the legend's entry of a chance level."""
    return Line2D([], [], color="#555555", linestyle=(0, (4, 3)), label="chance")


def draw_chance(axes: Axes, level: float | None) -> None:
    """Draw a chance level, where it is known, across the axes."""
    if level is not None:
        axes.axhline(level, color="#555555", linestyle=(0, (4, 3)), linewidth=0.9)


def in_per_cent(axes: Axes, top: float = 1.0) -> None:
    """Let the axis of fractions go from 0 to `top`, its numbers in per cent."""
    axes.set_ylim(0.0, top)
    ticks = [tick / 5 for tick in range(6) if tick / 5 <= top + 1e-9]
    axes.set_yticks(ticks, [f"{100 * tick:.0f}" for tick in ticks])
    axes.grid(True, axis="y")


def top_of(values: Sequence[float]) -> float:
    """Return where an axis of these fractions ends: at the next fifth."""
    return max(1, math.ceil(5 * max(values) - 1e-9)) / 5
