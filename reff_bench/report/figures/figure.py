"""One figure, and matplotlib's layouts that its kinds share: charts, rows of tiles."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from reff_bench.report.figures.style import SMALL, WIDTH, line_styles, title_of
from reff_bench.report.figures.tiles import HEAT, Floats

CHANCE: dict[str, Any] = {
    "color": "#555555",
    "linestyle": (0, (4, 3)),
    "linewidth": 0.9,
}
GAP = 32  # a tile's side by the white between two
SIDES = (0.775, 1.1)  # inches of a tile, at least and at most


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, drawn or not.

    Attributes:
        name: of its files.
        missing: each thing that it should show and can't, in words.
        caption: its settings and how to read it.
        canvas: what was drawn; None if nothing could be.
    """

    name: str
    missing: tuple[str, ...]
    caption: str = ""
    canvas: Canvas | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Tiles of one size, a label to their left, a note under each or none at all."""

    label: str
    tiles: Sequence[Floats]
    notes: Sequence[str] = ()


def make_chart(
    title: str,
    handles: Sequence[Artist],
    names: Sequence[str] = ("",),
    *,
    columns: int = 3,
    height: float = 2.2,
    legend_title: str | None = None,
) -> tuple[Canvas, list[Axes]]:
    """Return a canvas with a title above and a legend below, and its empty axes.

    There is one for each of `names`, which may be empty: at most so many `columns`, of
    `height` inches each. `handles` are what the legend's entries look like.
    """
    columns = min(columns, len(names))
    rows = math.ceil(len(names) / columns)
    lines = math.ceil(len(handles) / 4) if legend_title is None else 1
    in_line = math.ceil(len(handles) / lines)
    lines += legend_title is not None
    canvas = Canvas(figsize=(WIDTH, 0.3 + rows * height + 0.17 * lines))
    canvas.suptitle(title, x=0, ha="left")
    grid = canvas.subplots(rows, columns, squeeze=False).flatten()
    for axes, name in zip(grid, names, strict=False):
        axes.set_title(textwrap.fill(name, 99 // columns))
    for axes in grid[len(names) :]:
        axes.remove()
    canvas.legend(
        handles=handles, title=legend_title, loc="outside lower center", ncols=in_line
    )
    return canvas, list(grid[: len(names)])


def method_handles(methods: Sequence[str]) -> list[Artist]:
    """Return the legend's entries of some methods."""
    return [
        Line2D([], [], **style._asdict(), label=title_of(name))
        for name, style in line_styles(methods).items()
    ]


def chance_handle() -> Artist:
    """Return the legend's entry of a chance level."""
    return Line2D([], [], **CHANCE, label="chance")


def in_per_cent(axes: Axes, top: float = 1.0) -> None:
    """Let the axis of fractions go from 0 to `top`, its numbers in per cent."""
    ticks = [tick / 5 for tick in range(6) if tick / 5 <= top + 1e-9]
    axes.set_yticks(ticks, [f"{100 * tick:.0f}" for tick in ticks])
    axes.set_ylim(0.0, top)
    axes.grid(True, axis="y")


def top_of(values: Iterable[float]) -> float:
    """Return where an axis of these fractions ends: at the next fifth."""
    return max(1, math.ceil(5 * max(values) - 1e-9)) / 5


def make_tiles(
    title: str, heads: Sequence[str], rows: Sequence[Row], *, heat: bool = False
) -> Canvas:
    """Return a canvas with a title, rows of tiles from the top, and heads over columns.

    `heat`: a scale of the heat map's colors belongs to it.
    """
    columns = max(len(row.tiles) for row in rows)
    side = float(np.clip(4.7 / columns, *SIDES))
    width, height = 0.7 + columns * side + 0.5 * heat, 0.4 + len(rows) * (side + 0.15)
    canvas = Canvas(figsize=(width, height), layout="compressed")
    canvas.suptitle(title, x=0, ha="left")
    every = list(canvas.subplots(len(rows), squeeze=False)[:, 0])
    for axes, row in zip(every, rows, strict=True):
        _draw_row(axes, row, columns)
    above = -len(rows[0].tiles[0]) / 32
    for x, head in zip(_middles(rows[0]), heads, strict=False):
        every[0].text(x, above, head, ha="center", va="bottom")
    if heat:
        _draw_scale(canvas, every)
    return canvas


def _draw_row(axes: Axes, row: Row, columns: int) -> None:
    """Draw tiles as one image, which is laid out many times faster than many are."""
    size = len(row.tiles[0])
    gap = ((0, 0), (0, size // GAP), (0, 0))
    axes.imshow(np.hstack([np.pad(tile, gap, constant_values=1) for tile in row.tiles]))
    axes.set_xlim(0, columns * (size + size // GAP))
    axes.set_axis_off()
    axes.text(-size / 16, size / 2, row.label, ha="right", va="center")
    for x, note in zip(_middles(row), row.notes, strict=False):
        axes.text(x, size * 33 / 32, note, ha="center", va="top", fontsize=SMALL)


def _middles(row: Row) -> list[float]:
    """Return where each tile's middle is, px of the row's image."""
    size = len(row.tiles[0])
    return [(size + size // GAP) * n + size / 2 for n in range(len(row.tiles))]


def _draw_scale(canvas: Canvas, every: list[Axes]) -> None:
    """Draw the heat map's colors beside the first row."""
    colors = ScalarMappable(cmap=HEAT)
    bar = canvas.colorbar(
        colors, ax=every, shrink=1 / len(every), anchor=(0, 1), aspect=12, pad=0.01
    )
    bar.set_ticks([0, 1])
    bar.set_ticklabels(["0", "max"], fontsize=SMALL)
    bar.outline.set_visible(False)
