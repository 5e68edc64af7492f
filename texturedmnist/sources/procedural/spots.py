"""Painters of scattered specks, bumps and holes."""

import numpy as np

from texturedmnist.sources.procedural.canvas import Canvas, Field
from texturedmnist.sources.procedural.cells import find_cells, own
from texturedmnist.sources.procedural.fields import (
    fractal,
    length,
    mix,
    noise,
    noise_at,
    ramp,
    relief,
    smooth,
)


def sprinkled(canvas: Canvas) -> Field:
    """Short rods of many tones strewn in all directions."""
    tone = 0.12 + 0.1 * noise(canvas, 3.0)
    for _ in range(2):
        rods = find_cells(
            canvas, canvas.dice.between(6.5, 8.0), radii=(0.22, 0.27), aspect=3.2
        )
        far = rods.nearest
        tone = mix(tone, 0.0, ramp(far, 1.4, 1.0) * 0.7)
        tone = mix(tone, own(canvas, rods, 0.45, 1.0), ramp(far, 1.0, 0.8))
    return tone


def flecked(canvas: Canvas) -> Field:
    """Tweed: small light and dark flecks that lie roughly one way."""
    start = canvas.dice.between(0.0, 0.5)
    flecks = find_cells(
        canvas,
        canvas.dice.between(11.0, 14.0),
        radii=(0.1, 0.42),
        aspect=2.6,
        turns=(start, start + 0.08),
    )
    x, y = canvas.plane(start)
    ground = 0.42 + 0.2 * noise_at(canvas, x * 12.0, y * 50.0)
    color = np.where(own(canvas, flecks) < 0.5, 0.02, 0.98)
    return mix(ground, color, ramp(flecks.nearest, 1.05, 0.75))


def freckled(canvas: Canvas) -> Field:
    """Soft round dark spots of all sizes on light skin, here dense, there few."""
    skin = 0.82 + 0.16 * noise(canvas, 2.0)
    dense = noise(canvas, 3.0)
    for across, deep in ((7.0, 0.5), (11.0, 0.45), (15.0, 0.45)):
        spots = find_cells(canvas, across, radii=(0.12, 0.42))
        shown = ramp(own(canvas, spots) - dense, 0.35, 0.1)
        skin = skin - deep * shown * ramp(spots.nearest, 1.1, 0.4)
    return skin


def bumpy(canvas: Canvas) -> Field:
    """Round bumps side by side, lit from the upper left."""
    across = canvas.dice.between(6.0, 9.0)
    bumps = find_cells(canvas, across, jitter=0.5, radii=(0.42, 0.56))
    height = smooth(ramp(bumps.nearest, 1.15, 0.0)) / across
    light = 0.2 * noise(canvas, 2.0) - 0.1
    return relief(height, canvas.dice.between(0.1, 0.13)) + light


def bubbly(canvas: Canvas) -> Field:
    """Clear bubbles of all sizes: a bright rim, a highlight, a darker ground."""
    tone = 0.25 + 0.3 * noise(canvas, 2.0)
    for across in (10.0, 5.0):
        bubbles = find_cells(canvas, across, radii=(0.2, 0.6))
        far, (dx, dy) = bubbles.nearest, bubbles.offset()
        shown = np.where(own(canvas, bubbles) < 0.75, 1.0, 0.0)
        glass = tone * 0.55 + 0.6 * ramp(far, 0.5, 1.0) * ramp(far, 1.02, 0.92)
        scale = far / np.maximum(length(dx, dy), 1e-6)
        spark = length(dx * scale + 0.4, dy * scale + 0.4)
        glass = glass + 0.8 * ramp(spark, 0.3, 0.12)
        tone = mix(tone, glass, ramp(far, 1.0, 0.93) * shown)
    return tone


def porous(canvas: Canvas) -> Field:
    """A sponge: uneven holes of all sizes, crowded but apart."""
    tone = 0.7 + 0.3 * noise(canvas, 8.0)
    uneven = 0.5 * (fractal(canvas, 9.0, 2) - 0.5)
    for across, most in ((17.0, 0.36), (8.0, 0.42), (5.0, 0.36)):
        holes = find_cells(canvas, across, radii=(0.12, most))
        far = holes.nearest + uneven
        tone = mix(tone, 0.95, ramp(far, 1.4, 1.1))
        tone = mix(tone, 0.02, ramp(far, 1.05, 0.75))
    return tone


def pitted(canvas: Canvas) -> Field:
    """Metal or rock with small shallow dents, each with a dark and a lit wall."""
    height = 0.012 * fractal(canvas, 8.0, 3)
    for across in (5.0, 9.0):
        dents = find_cells(canvas, across, radii=(0.12, 0.36))
        height = height - ramp(dents.nearest, 1.0, 0.3) * 0.12 / across
    return relief(height, 1.1) * 0.9 + 0.08


def potholed(canvas: Canvas) -> Field:
    """A gravel road with a few large ragged holes."""
    grains = find_cells(canvas, 26.0)
    road = 0.55 + own(canvas, grains, 0.0, 0.35) - 0.25 * grains.nearest
    holes = find_cells(canvas, canvas.dice.between(2.0, 2.8), radii=(0.25, 0.42))
    ragged = holes.nearest + 0.7 * (fractal(canvas, 5.0, 3) - 0.5)
    floor = 0.05 + 0.3 * ramp(ragged, 0.95, 0.0) * (0.4 + 0.6 * noise(canvas, 7.0))
    rim = ramp(np.abs(ragged - 1.05), 0.12, 0.0) * 0.2
    return mix(road + rim, floor, ramp(ragged, 1.02, 0.9))
