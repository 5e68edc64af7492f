"""Scalar fields that painters are made of: waves, noise, angles, relief."""

import numpy as np

from texturedmnist.sources.procedural.canvas import Canvas, Field

LATTICE = 64  # side of the periodic table behind `noise_at`
LEAP = 0.125  # of a turn: where the polynomial of `turns_of` ends


def frac(t: Field) -> Field:
    """Return the fractional part, in [0, 1)."""
    return t - np.floor(t)


def triangle(t: Field) -> Field:
    """Return a triangle wave of period 1: 1 at whole numbers, 0 half-way."""
    return np.abs(frac(t) * 2.0 - 1.0)


def smooth(t: Field) -> Field:
    """Ease [0, 1] to [0, 1] with flat ends."""
    return t * t * (3.0 - 2.0 * t)


def wave(t: Field) -> Field:
    """Return a smooth wave of period 1: 1 at whole numbers, 0 half-way."""
    return smooth(triangle(t))


def ramp(t: Field, low: float, high: float) -> Field:
    """Rise from 0 at `low` to 1 at `high` (or fall, when low > high)."""
    return np.clip((t - low) / (high - low), 0.0, 1.0)


def bars(t: Field, width: float, soft: float = 0.04) -> Field:
    """Return 1 in bars of this width (of period 1) about whole numbers, else 0."""
    away = 0.5 - 0.5 * width
    return ramp(triangle(t) * 0.5, away - soft, away + soft)


def mix(first: Field | float, second: Field | float, share: Field) -> Field:
    """Blend from `first` (share 0) to `second` (share 1)."""
    return first + (second - first) * share


def lookup(table: Field, t: Field) -> Field:
    """Read a periodic table of one period at t."""
    place = np.floor(frac(t) * float(len(table))).astype(np.int64)
    return table[np.minimum(place, len(table) - 1)]


def length(x: Field, y: Field) -> Field:
    """Return the Euclidean length."""
    return np.sqrt(x * x + y * y)


def turns_of(x: Field, y: Field) -> Field:
    """Return the polar angle in turns, [-0.5, 0.5], to about 0.0003.

    The arc tangent of a ratio r in [0, 1] is near r / 8 - r (r - 1) (0.0389 + 0.0106 r)
    turns (Rajan et al. 2006); the other octants are mirror images.
    """
    width, height = np.abs(x), np.abs(y)
    ratio = np.minimum(width, height) / np.maximum(np.maximum(width, height), 1e-9)
    angle = ratio * (LEAP - (ratio - 1.0) * (0.03895 + 0.01055 * ratio))
    angle = np.where(height > width, 0.25 - angle, angle)
    angle = np.where(x < 0.0, 0.5 - angle, angle)
    return np.where(y < 0.0, -angle, angle)


def noise(canvas: Canvas, across: float) -> Field:
    """Return smooth noise about 0.5, mostly in [0, 1], along the canvas's own axes.

    A quadratic B-spline over random values, `across` of them along a side: no trace of
    their lattice is left.
    """
    across = canvas.zoom * across
    side = int(across) + 5
    values = canvas.dice.units(side, side) * 2.2 - 0.6
    columns = _spline(np.ascontiguousarray(values.T), canvas, across)
    return _spline(np.ascontiguousarray(columns.T), canvas, across)


def _spline(values: Field, canvas: Canvas, count: float) -> Field:
    """Interpolate along the first axis at the canvas's pixels: (n, k) -> (size, k)."""
    place = (canvas.axis() + 0.5) * count + canvas.dice.between(1.0, 2.0)
    cell = np.floor(place)
    t = (place - cell)[:, None]
    at = cell.astype(np.int64)
    ahead, behind = 0.5 * t * t, 0.5 * (1.0 - t) * (1.0 - t)
    middle = 1.0 - ahead - behind
    return values[at - 1] * behind + values[at] * middle + values[at + 1] * ahead


def fractal(canvas: Canvas, across: float, octaves: int = 3) -> Field:
    """Return noise with finer noise on it, mostly in [0, 1]."""
    total = noise(canvas, across)
    share = 1.0
    for octave in range(1, octaves):
        share *= 0.5
        total = total + (noise(canvas, across * 2.0**octave) - 0.5) * share
    return total


def noise_at(canvas: Canvas, x: Field, y: Field) -> Field:
    """Return noise in [0, 1) at any places, in units of a lattice of period 64."""
    values = canvas.dice.units(LATTICE * LATTICE)
    column, row = np.floor(x), np.floor(y)
    right, down = smooth(x - column), smooth(y - row)
    left_at = column.astype(np.int64) & (LATTICE - 1)
    right_at = (left_at + 1) & (LATTICE - 1)
    top_at = (row.astype(np.int64) & (LATTICE - 1)) * LATTICE
    bottom_at = (top_at + LATTICE) & (LATTICE * LATTICE - 1)
    top = mix(values[top_at + left_at], values[top_at + right_at], right)
    bottom = mix(values[bottom_at + left_at], values[bottom_at + right_at], right)
    return mix(top, bottom, down)


def relief(height: Field, gain: float) -> Field:
    """Light a height field from the upper left: 0.5 where level, brighter facing it.

    Args:
        height: (size, size), in units of the canvas's side when gain is 1.
        gain: how steep it looks.
    """
    size = len(height)
    step = max(1, size // 140)
    slope = height[step:, step:] - height[:-step, :-step]
    edges = np.maximum(np.arange(size, dtype=np.int64) - step, 0)
    return np.clip(0.5 + (gain * size / step) * slope[edges][:, edges], 0.0, 1.0)
