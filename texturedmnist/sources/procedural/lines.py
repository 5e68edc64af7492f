"""Painters of stripes and flows."""

import numpy as np

from texturedmnist.sources.procedural.canvas import Canvas, Field, sine
from texturedmnist.sources.procedural.fields import (
    LATTICE,
    bars,
    frac,
    fractal,
    length,
    lookup,
    mix,
    noise,
    noise_at,
    ramp,
    smooth,
    triangle,
    turns_of,
    wave,
)


def banded(canvas: Canvas) -> Field:
    """Straight broad bands of several tones and widths."""
    x, _ = canvas.turned()
    return lookup(layers(canvas, 2 * canvas.dice.whole(3, 5)), x * 0.7 + 0.5)


def striped(canvas: Canvas) -> Field:
    """Even stripes of two tones that bend together, like a zebra's."""
    x, _ = canvas.turned()
    bend = noise(canvas, 3.0) * canvas.dice.between(0.06, 0.16)
    periods = canvas.dice.between(7.0, 11.0)
    return 0.1 + 0.8 * bars((x + bend) * periods, 0.5, 0.08)


def lined(canvas: Canvas) -> Field:
    """Thin straight lines on a plain ground."""
    x, _ = canvas.turned()
    t = x * canvas.dice.between(9.0, 14.0)
    line = bars(t, canvas.dice.between(0.08, 0.16), 0.05)
    return canvas.either_way(0.9 - 0.85 * line)


def stratified(canvas: Canvas) -> Field:
    """Uneven layers of rock, level but for folds, with a grain along them."""
    x, y = canvas.tilted(0.04)
    fold = canvas.dice.between(0.1, 0.25)
    depth = y + fold * fractal(canvas, 2.0, 4)
    tone = lookup(layers(canvas, 2 * canvas.dice.whole(6, 8)), depth * 0.8)
    grain = noise_at(canvas, x * 6.0, depth * 60.0)
    return 0.1 + 0.55 * tone + 0.4 * grain


def grooved(canvas: Canvas) -> Field:
    """Channels cut into a flat board: a wall in shade, a lit wall."""
    x, y = canvas.tilted(0.25)
    t = x * canvas.dice.between(4.5, 7.0) + 0.06 * noise(canvas, 5.0)
    board = 0.5 + 0.3 * (noise_at(canvas, x * 50.0, y * 4.0) - 0.5)
    cut = mix(board, 0.02 + 0.25 * frac(t + 0.5), bars(t, 0.36, 0.05))
    return mix(cut, 1.0, bars(t - 0.22, 0.13, 0.05))


def pleated(canvas: Canvas) -> Field:
    """Knife pleats: each fold fades from light to dark and ends in a sharp crease."""
    x, y = canvas.tilted(0.2)
    fan = 1.0 + canvas.dice.between(-0.7, 0.7) * y
    t = x * fan * canvas.dice.between(4.0, 6.5) + 0.5 * noise(canvas, 2.5)
    fold = frac(t)
    crease = bars(t, 0.1, 0.04)
    return 0.15 + 0.8 * fold * (0.7 + 0.3 * noise(canvas, 3.0)) - 0.2 * crease


def zigzagged(canvas: Canvas) -> Field:
    """Chevrons in two or three tones."""
    x, y = canvas.tilted(0.25)
    teeth, rows = canvas.dice.between(3.5, 6.0), canvas.dice.between(4.0, 6.0)
    rise = canvas.dice.between(0.7, 1.1) * rows / teeth * 0.5
    tones = np.array([0.05, 0.95, 0.4, 0.95] if canvas.dice.chance() else [0.05, 0.95])
    table = np.repeat(tones, 4)
    return lookup(table, (y * rows + rise * triangle(x * teeth)) * 2.0 / len(tones))


def frilly(canvas: Canvas) -> Field:
    """Rows of ruffles: wavy hems that cast a shadow on the row below."""
    x, y = canvas.tilted(0.08)
    rows, waves = canvas.dice.between(3.0, 4.5), canvas.dice.between(3.0, 5.0)
    sway, phases = noise(canvas, 3.0) * 1.2, canvas.dice.units(LATTICE)
    below = y * rows + canvas.dice.between(8.0, 9.0)
    tone = np.zeros_like(x)
    for back in (0.0, 1.0):
        row = np.floor(below) - back
        phase = phases[row.astype(np.int64)] + sway + x * waves
        drop = below - row - 0.22 * sine(phase)
        fold = sine(phase + 0.1 * drop) * 0.3 * drop
        lit = 0.45 + fold + 0.3 * bars(drop - 0.95, 0.08) - 0.4 * ramp(drop, 0.3, 0.0)
        tone = np.where((drop > 0.0) & (drop < 1.0), lit, tone)
    return tone


def swirly(canvas: Canvas) -> Field:
    """Stripes stirred by a few eddies."""
    x, y = canvas.turned()
    for _ in range(canvas.dice.whole(4, 5)):
        at_x, at_y = canvas.dice.between(-0.5, 0.5), canvas.dice.between(-0.5, 0.5)
        dx, dy = x - at_x, y - at_y
        near = ramp(length(dx, dy), canvas.dice.between(0.25, 0.45), 0.0)
        angle = near * near * canvas.dice.between(0.5, 1.0)
        cos, sin = sine(angle + 0.25), sine(angle)
        x, y = at_x + cos * dx + sin * dy, at_y + cos * dy - sin * dx
    return 0.1 + 0.8 * wave(x * canvas.dice.between(6.0, 9.0))


def spiralled(canvas: Canvas) -> Field:
    """One or four spirals that wind about their own centers."""
    x, y = canvas.turned()
    if canvas.dice.chance():
        dx, dy = frac(x * 2.0) * 0.5 - 0.25, frac(y * 2.0) * 0.5 - 0.25
    else:
        dx = x - canvas.dice.between(-0.2, 0.2)
        dy = y - canvas.dice.between(-0.2, 0.2)
    arms = float(canvas.dice.whole(1, 2))
    t = length(dx, dy) * canvas.dice.between(8.0, 12.0) - turns_of(dx, dy) * arms
    return canvas.either_way(0.05 + 0.9 * bars(t, 0.45, 0.08))


def smeared(canvas: Canvas) -> Field:
    """Broad strokes of wet paint."""
    x, y = canvas.turned()
    bend = noise(canvas, 1.5) * canvas.dice.between(0.2, 0.5)
    broad = noise_at(canvas, x * 2.5, (y + bend) * 7.0)
    bristles = noise_at(canvas, x * 1.5, (y + bend) * 38.0)
    return 0.75 * smooth(ramp(broad, 0.1, 0.9)) + 0.3 * bristles - 0.05


def fibrous(canvas: Canvas) -> Field:
    """Fine long fibres that run together and bend a little."""
    x, y = canvas.turned()
    bend = noise(canvas, 2.0) * canvas.dice.between(0.1, 0.35)
    strands = [
        noise_at(canvas, x * 2.0 + y * slope, (y + bend + slope * x) * 45.0)
        for slope in (-0.12, 0.0, 0.1)
    ]
    fine = np.maximum(np.maximum(strands[0], strands[1]), strands[2])
    return canvas.either_way(ramp(fine, 0.3, 1.0))


def layers(canvas: Canvas, count: int) -> Field:
    """Return a table of one period: `count` layers of random tones and widths.

    Dark and light layers alternate when `count` is even, also across the period's end.
    """
    tones = canvas.dice.units(count) * 0.4
    tones = tones + np.arange(count) % 2 * 0.6
    widths = np.floor(canvas.dice.units(count) * 24.0).astype(np.int64) + 8
    return np.repeat(tones, widths)
