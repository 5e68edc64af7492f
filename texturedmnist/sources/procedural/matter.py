"""Painters of stone, leaf, stain and crumpled paper."""

import numpy as np

from texturedmnist.sources.procedural.canvas import Canvas, Field, direction
from texturedmnist.sources.procedural.cells import find_cells, own
from texturedmnist.sources.procedural.fields import (
    frac,
    fractal,
    mix,
    noise,
    ramp,
    relief,
    triangle,
)


def blotchy(canvas: Canvas) -> Field:
    """Large soft patches of a few tones, without order."""
    patches = fractal(canvas, canvas.dice.between(4.0, 6.0), 3)
    others = fractal(canvas, canvas.dice.between(4.0, 6.0), 3)
    tone = 0.35 + 0.3 * noise(canvas, 3.0)
    tone = mix(tone, 0.95, ramp(patches, 0.56, 0.66) * 0.9)
    return mix(tone, 0.05, ramp(others, 0.56, 0.66) * 0.9)


def stained(canvas: Canvas) -> Field:
    """Cloth with dried spills: a darker inside, a sharp dark edge, no order."""
    cloth = 1.0 - 0.2 * noise(canvas, 3.0)
    for across, deep in ((2.0, 0.3), (2.5, 0.25), (4.0, 0.35)):
        spill = fractal(canvas, across, 4) - canvas.dice.between(0.5, 0.62)
        inside = ramp(spill, 0.0, 0.015)
        edge = inside * ramp(spill, 0.09, 0.0)
        cloth = cloth * (1.0 - deep * inside - 0.45 * edge)
    return cloth


def cracked(canvas: Canvas) -> Field:
    """Dry mud: plates split by dark cracks of uneven width."""
    plates = find_cells(canvas, canvas.dice.between(3.5, 5.0))
    fine = find_cells(canvas, canvas.dice.between(8.0, 10.0))
    wide = 0.03 + 0.05 * noise(canvas, 5.0)
    ragged = 0.08 * (fractal(canvas, 14.0, 2) - 0.5)
    crack = ramp((plates.gap + ragged) / wide, 1.3, 0.7)
    hair = ramp(fine.gap, 0.07, 0.03) * ramp(noise(canvas, 3.0), 0.4, 0.6)
    plate = 0.7 + own(canvas, plates, -0.1, 0.15) + 0.2 * (fractal(canvas, 9.0) - 0.5)
    return mix(plate, 0.03, np.maximum(crack, 0.7 * hair))


def crystalline(canvas: Canvas) -> Field:
    """Crystals that grow one way: long prisms of a lit and a dark face each."""
    turn = canvas.dice.between(0.0, 0.5)
    prisms = find_cells(
        canvas, canvas.dice.between(4.5, 6.0), aspect=2.4, turns=(turn, turn)
    )
    cos, sin = direction(turn)
    dx, dy = prisms.offset()
    across = cos * dy - sin * dx + own(canvas, prisms, -0.12, 0.12)
    along = cos * dx + sin * dy
    tip = along - 0.8 * np.abs(across) > own(canvas, prisms, 0.1, 0.6)
    lit, shaded = own(canvas, prisms, 0.5, 1.0), own(canvas, prisms, 0.0, 0.5)
    face = np.where(across > 0.0, lit, shaded)
    face = np.where(tip, own(canvas, prisms, 0.6, 1.0), face)
    ridge = ramp(prisms.gap, 0.09, 0.03)
    return mix(0.85 * face + 0.1 + 0.3 * along, 1.0, ridge * 0.6)


def veined(canvas: Canvas) -> Field:
    """A leaf: a midrib, side veins that branch off, a fine network between."""
    x, y = canvas.turned()
    x = x + 0.12 * noise(canvas, 2.0) + canvas.dice.between(-0.15, 0.15)
    side = (y - np.abs(x) * canvas.dice.between(0.6, 1.0)) * 6.0
    side = side + np.where(x > 0.0, 0.4, 0.0)
    network = find_cells(canvas, canvas.dice.between(10.0, 13.0))
    fine = ramp(network.gap, 0.2, 0.05) * 0.45
    rib = ramp(np.abs(x), 0.03, 0.012)
    from_vein = np.abs(frac(side) - 0.5) / 6.0
    branch = ramp(from_vein, 0.02, 0.008) * 0.9
    blade = 0.3 + 0.2 * noise(canvas, 4.0) - 0.15 * ramp(from_vein, 0.05, 0.0)
    return mix(blade, 0.95, np.maximum(np.maximum(rib, branch), fine))


def marbled(canvas: Canvas) -> Field:
    """Polished stone: clouds, and sharp dark veins that run roughly one way."""
    x, y = canvas.turned()
    cloud = fractal(canvas, 2.0, 4)
    t = x * canvas.dice.between(2.0, 3.0) + cloud * canvas.dice.between(1.4, 2.0)
    cross = y * 1.5 + fractal(canvas, 3.0, 4) * 1.5
    vein = np.sqrt(triangle(t)) * (0.6 + 0.4 * np.sqrt(triangle(cross)))
    return canvas.either_way(vein * (0.75 + 0.35 * cloud))


def wrinkled(canvas: Canvas) -> Field:
    """Crumpled paper: flat facets between sharp creases, lit from one side."""
    height = np.zeros((canvas.size, canvas.size))
    for scale in (2.5, 3.5, 5.0, 7.0, 10.0):
        height = height + np.abs(noise(canvas, scale) - 0.5) / scale
    return relief(height, canvas.dice.between(0.16, 0.24))
