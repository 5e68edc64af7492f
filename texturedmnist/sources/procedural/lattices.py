"""Painters of regular lattices."""

import numpy as np

from texturedmnist.sources.procedural.canvas import Canvas, Field
from texturedmnist.sources.procedural.fields import (
    bars,
    fractal,
    length,
    mix,
    noise,
    noise_at,
    ramp,
    relief,
    triangle,
    turns_of,
)
from texturedmnist.sources.procedural.tilings import (
    hexagons,
    odd,
    scatter,
    square_cells,
    staggered_cells,
)


def chequered(canvas: Canvas) -> Field:
    """A chessboard, or gingham with a middle tone."""
    x, y = canvas.turned()
    count = canvas.dice.between(3.0, 5.0)
    first, second = bars(x * count, 0.5), bars(y * count, 0.5)
    if canvas.dice.chance(0.25):
        return 0.05 + 0.45 * (first + second)
    return 0.05 + 0.9 * (first + second - 2.0 * first * second)


def grid(canvas: Canvas) -> Field:
    """Two sets of thin lines that cross at right angles."""
    x, y = canvas.tilted(0.06)
    count, width = canvas.dice.between(5.0, 8.0), canvas.dice.between(0.1, 0.16)
    lines = np.maximum(bars(x * count, width), bars(y * count, width))
    ground = 0.1 * noise(canvas, 3.0)
    return canvas.either_way(0.05 + ground + 0.8 * lines)


def meshed(canvas: Canvas) -> Field:
    """A network of round wires in diamonds before a dark ground."""
    x, y = canvas.tilted(0.05)
    sway, count = 0.3 * noise(canvas, 3.0), canvas.dice.between(4.5, 6.5)
    steep = canvas.dice.between(0.6, 1.1)
    first, second = (x + steep * y) * count + sway, (x - steep * y) * count + sway
    wire = [ramp(0.5 - 0.5 * triangle(t + 0.5), 0.18, 0.0) for t in (first, second)]
    knot = ramp(wire[0] + wire[1], 1.3, 1.7)
    wires = np.maximum(wire[0], wire[1])
    return 0.05 + 0.1 * noise(canvas, 4.0) + 0.7 * ramp(wires, 0.0, 0.7) + 0.2 * knot


def waffled(canvas: Canvas) -> Field:
    """Square pockets between broad ridges, lit from the upper left."""
    x, y = canvas.tilted(0.08)
    count = canvas.dice.between(4.0, 6.0)
    dx, dy, _, _ = square_cells(x * count, y * count)
    far = np.maximum(np.abs(dx), np.abs(dy))
    height = ramp(far, 0.2, 0.38)
    lit = relief(height * 0.04, canvas.dice.between(0.9, 1.3))
    return 0.2 + 0.35 * height + 0.75 * (lit - 0.5) + 0.1 * noise(canvas, 6.0)


def honeycombed(canvas: Canvas) -> Field:
    """Six-sided wax cells: bright walls about deep holes."""
    x, y = canvas.turned()
    count = canvas.dice.between(5.0, 8.0)
    sway = 0.25 * noise(canvas, 3.0)
    far, dx, dy = hexagons(x * count + sway, y * count + sway)
    wall = canvas.dice.between(0.38, 0.42)
    hole = 0.1 + 0.25 * ramp(dx + dy, -0.2, 0.5) + 0.15 * noise(canvas, 4.0)
    return mix(hole, 0.85 + 0.1 * ramp(far, 0.4, 0.5), ramp(far, wall - 0.04, wall))


def scaly(canvas: Canvas) -> Field:
    """Rows of round overlapping scales, like a fish's or a roof's."""
    x, y = canvas.tilted(0.12)
    count = canvas.dice.between(5.0, 7.0)
    sway = 0.2 * noise(canvas, 3.0)
    x, y = x * count + sway, y * count * 2.0 + sway
    row, tone = np.floor(y), np.zeros_like(x)
    for back in (0.0, 1.0, 2.0):
        shift = np.where(odd(row - back), 0.5, 0.0)
        column = np.floor(x + shift)
        dx, down = x + shift - column - 0.5, (y - row + back) * 0.5
        far = length(dx * 2.0, np.maximum(down - 0.6, 0.0) * 2.0)
        scale = 0.1 + 0.75 * ramp(down, 0.3, 1.1) - 0.12 * bars(dx * 5.0, 0.2)
        scale = scale + 0.25 * scatter(canvas, column, row - back)
        scale = mix(scale, 0.0, ramp(far, 0.86, 0.94))
        tone = np.where((far < 1.0) | (down < 0.6), scale, tone)
    return tone


def paisley(canvas: Canvas) -> Field:
    """Curled drops with rings inside and a dotted outline."""
    x, y = canvas.turned()
    count = canvas.dice.between(2.4, 3.6)
    dx, dy, _, row = staggered_cells(x * count, y * count, 1.15)
    dx = np.where(odd(row), -dx, dx)
    up = ramp(dy, 0.25, -0.5)
    dx = dx - 0.5 * up * up * up
    far = length(dx * (1.0 + 1.9 * up * up), (dy - 0.12) * 0.8)
    ring = far * 14.0 - 0.8
    tone = np.where(far < 0.36, 0.9 * bars(ring * 0.5, 0.5, 0.1) + 0.05, 0.25)
    outline = (far > 0.38) & (far < 0.45)
    beads = bars(turns_of(dx, dy - 0.12) * 14.0, 0.5)
    tone = np.where(outline, 0.25 + 0.7 * beads, tone)
    return canvas.either_way(tone)


def dotted(canvas: Canvas) -> Field:
    """Many small dots in straight rows."""
    x, y = canvas.turned()
    count = canvas.dice.between(9.0, 12.0)
    dx, dy, _, _ = square_cells(x * count, y * count)
    radius = canvas.dice.between(0.2, 0.28)
    dots = ramp(length(dx, dy), radius + 0.05, radius - 0.05)
    return canvas.either_way(0.05 + 0.9 * dots)


def polka_dotted(canvas: Canvas) -> Field:
    """Large discs in staggered rows."""
    x, y = canvas.tilted(0.12)
    count = canvas.dice.between(3.5, 5.0)
    dx, dy, _, _ = staggered_cells(x * count, y * count)
    radius = canvas.dice.between(0.27, 0.34)
    discs = ramp(length(dx, dy), radius + 0.02, radius - 0.02)
    return canvas.either_way(0.1 + 0.8 * discs)


def perforated(canvas: Canvas) -> Field:
    """Sheet metal with a regular pattern of punched holes, their lower edges lit."""
    x, y = canvas.tilted(0.06)
    count = canvas.dice.between(6.0, 8.5)
    dx, dy, _, _ = staggered_cells(x * count, y * count)
    radius = canvas.dice.between(0.3, 0.35)
    sheet = 0.6 + 0.2 * noise(canvas, 2.0) + 0.06 * noise_at(canvas, x * 4.0, y * 60.0)
    lip = ramp(length(dx, dy - 0.07), radius + 0.07, radius)
    hole = ramp(length(dx, dy), radius, radius - 0.06)
    return mix(mix(sheet, 1.0, lip), 0.02, hole)


def studded(canvas: Canvas) -> Field:
    """Shiny metal studs in rows on leather, each with its shadow."""
    x, y = canvas.tilted(0.12)
    count = canvas.dice.between(4.0, 6.0)
    dx, dy, _, _ = square_cells(x * count, y * count)
    radius = canvas.dice.between(0.26, 0.33)
    ground = 0.32 + 0.16 * fractal(canvas, 12.0, 2)
    shadow = ramp(length(dx - 0.1, dy - 0.1), radius + 0.1, radius - 0.05)
    stud = ramp(length(dx, dy), radius + 0.02, radius - 0.02)
    return mix(mix(ground, 0.0, shadow), dome(dx, dy, radius), stud)


def dome(dx: Field, dy: Field, radius: float) -> Field:
    """Shade a shiny half-ball lit from the upper left; in [0, 1] inside the radius."""
    lit = ramp(dx + dy, 1.1 * radius, -0.9 * radius)
    spark = ramp(length(dx + 0.35 * radius, dy + 0.35 * radius), 0.35 * radius, 0.0)
    return 0.1 + 0.65 * lit + 0.5 * spark
