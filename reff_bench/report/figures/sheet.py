"""A figure of tiles in rows and columns, with words around them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from reff_bench.report.figures.style import FONT, SMALL, WIDTH
from reff_bench.report.figures.tiles import HEAT, Floats

SIDES = (0.775, 1.10)  # inches of a tile: of eight in a row, at most
GAP = 0.035  # between two
LEFT = 0.68  # room for the rows' names
NOTE = 0.13  # of a line under a row
TITLE, HEAD, FOOT = 0.30, 0.16, 0.04  # of the title, of a line above, below all


@dataclass(frozen=True, slots=True)
class Line:
    """A row of tiles.

    Attributes:
        label: to its left.
        tiles: all of one size.
        notes: one under each tile, or none at all.
    """

    label: str
    tiles: Sequence[Floats]
    notes: Sequence[str] = field(default=())


def draw_sheet(
    title: str,
    heads: Sequence[str],
    lines: Sequence[Line],
    *,
    heat: bool = False,
) -> Figure:
    """Return the figure.

    Args:
        title: above all.
        heads: over the columns, of one line or more; empty for none.
        lines: the rows.
        heat: whether a scale of the heat map's colours belongs to it.
    """
    columns = max(len(line.tiles) for line in lines)
    room = 0.75 * WIDTH - LEFT
    side = min(max(SIDES[0], room / columns - GAP), SIDES[1])
    width = LEFT + max(columns * (side + GAP), room)
    top = TITLE + HEAD * max((len(head.splitlines()) for head in heads), default=0)
    body = sum(side + GAP + (NOTE if line.notes else 0.0) for line in lines)
    height = top + body + FOOT
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    axes.text(0.04, 0.16, title, fontsize=8.5, weight="bold", va="center")
    if heat:
        _draw_scale(axes, width)
    for place, head in enumerate(heads):
        middle = LEFT + place * (side + GAP) + side / 2
        axes.text(middle, top - 0.05, head, fontsize=7, ha="center", va="bottom")
    for line in lines:
        _draw_line(axes, line, top, side)
        top += side + GAP + (NOTE if line.notes else 0.0)
    return figure


def wrap(text: str, width: float, size: float = SMALL) -> str:
    """Return text in lines that fit, by the letters' true widths.

    Args:
        text: in words.
        width: of the place, inches.
        size: of the letters, pt.
    """
    font = get_font(findfont(FONT))
    font.set_size(size, 720)  # fine enough that rounding to dots doesn't count
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        font.set_text(longer)
        if lines and font.get_width_height()[0] / 64 > 720 * width:
            lines.append(word)
        else:
            lines[-1:] = [longer]
    return "\n".join(lines)


def _draw_line(axes: Axes, line: Line, top: float, side: float) -> None:
    """Draw a row's name, its tiles and what is under them, from `top` down."""
    axes.text(
        LEFT - 0.06, top + side / 2, line.label, fontsize=7, ha="right", va="center"
    )
    for place, tile in enumerate(line.tiles):
        left = LEFT + place * (side + GAP)
        edges = (left, left + side, top + side, top)
        axes.imshow(tile, extent=edges, interpolation="none", aspect="auto")
        if line.notes:
            x, y = left + side / 2, top + side + NOTE / 2 + 0.01
            axes.text(x, y, line.notes[place], fontsize=SMALL, ha="center", va="center")


def _draw_scale(axes: Axes, width: float) -> None:
    """Draw the heat map's colours at the upper right."""
    ramp = colormaps[HEAT](np.linspace(0, 1, 128))[None, :, :3]
    right = width - 0.36
    edges = (right - 0.9, right, 0.20, 0.11)
    axes.imshow(ramp, extent=edges, interpolation="none", aspect="auto")
    axes.text(right - 0.94, 0.16, "0", fontsize=SMALL, ha="right", va="center")
    axes.text(right + 0.04, 0.16, "max", fontsize=SMALL, ha="left", va="center")
