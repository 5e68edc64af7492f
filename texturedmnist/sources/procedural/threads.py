"""Painters of what threads, strands and strokes make."""

import numpy as np

from texturedmnist.sources.procedural.canvas import Canvas, Field, sine
from texturedmnist.sources.procedural.fields import (
    bars,
    frac,
    length,
    mix,
    noise,
    noise_at,
    ramp,
    turns_of,
    wave,
)
from texturedmnist.sources.procedural.tilings import (
    odd,
    scatter,
    square_cells,
    staggered_cells,
)


def woven(canvas: Canvas) -> Field:
    """Plain weave: broad strands over and under each other like a basket's."""
    x, y = canvas.tilted(0.04)
    count = canvas.dice.between(6.0, 9.0)
    dx, dy, column, row = square_cells(x * count, y * count)
    over = odd(column + row)
    ply = 0.12 * wave(np.where(over, dy, dx) * 3.0)
    weft = canvas.dice.between(0.6, 0.8)
    lit = np.where(over, strand(dy, dx), strand(dx, dy) * weft)
    return 0.08 + 0.85 * ramp(lit, 0.0, 1.0) - ply


def interlaced(canvas: Canvas) -> Field:
    """Pairs of ribbons that swing about each other, over and under, before a ground."""
    x, y = canvas.turned()
    rows, swings = canvas.dice.between(2.5, 4.0), canvas.dice.between(2.5, 4.0)
    row = np.floor(y * rows)
    dy = y * rows - row - 0.5
    turn = x * swings + 0.5 * scatter(canvas, row * 0.0, row)
    swing = 0.29 * sine(turn)
    tone = np.full_like(x, 0.1)
    front = np.where(frac(turn + 0.25) < 0.5, 1.0, -1.0)
    for side in (-1.0, 1.0):
        away = np.abs(dy - side * front * swing)
        ribbon = 0.95 - 0.4 * ramp(np.abs(away - 0.06), 0.04, 0.0)
        tone = mix(tone, 0.0, ramp(away, 0.22, 0.18))
        tone = mix(tone, ribbon, ramp(away, 0.16, 0.13))
    return canvas.either_way(tone)


def braided(canvas: Canvas) -> Field:
    """Thick plaits side by side: strands that slant in from left and right in turn."""
    x, y = canvas.turned()
    count = canvas.dice.between(2.2, 3.6)
    dx, _, column, _ = square_cells(x * count, y)
    left = np.where(dx < 0.0, 0.5, 0.0)
    t = y * count * canvas.dice.between(1.6, 2.2) + 1.7 * np.abs(dx) + left
    t = t + scatter(canvas, column, column * 0.0)
    dt = frac(t) - 0.5
    inward = np.abs(dx) * 2.0
    lit = (1.0 - 4.0 * dt * dt) * ramp(inward, 0.98, 0.7) * ramp(inward, -0.6, 0.3)
    hairs = 0.2 * noise_at(canvas, t * 9.0, x * 6.0 + y * 6.0)
    return 0.05 + 0.8 * lit + hairs * lit


def knitted(canvas: Canvas) -> Field:
    """Stockinette: columns of small V-shaped stitches."""
    x, y = canvas.tilted(0.06)
    count = canvas.dice.between(5.0, 7.0)
    sway = 0.25 * noise(canvas, 3.0)
    dx, _, _, _ = square_cells(x * count + sway, y)
    inward = np.abs(dx) * 2.0
    t = y * count * 1.25 - 0.85 * inward + sway
    dt, wide = frac(t) - 0.5, inward - 0.5
    leg = 1.0 - 3.6 * dt * dt - 2.8 * wide * wide
    fuzz = noise_at(canvas, x * 60.0, y * 60.0) - 0.5
    return 0.05 + 0.85 * ramp(leg, 0.1, 1.0) + 0.12 * fuzz


def lacelike(canvas: Canvas) -> Field:
    """Rosettes of looped thread joined by a fine network."""
    x, y = canvas.turned()
    count = canvas.dice.between(2.2, 3.0)
    dx, dy, _, _ = staggered_cells(x * count, y * count)
    far, turn = length(dx, dy), turns_of(dx, dy)
    petals = float(canvas.dice.whole(5, 8))
    edge = 0.3 + 0.1 * wave(turn * petals)
    tone = 0.75 * np.maximum(
        bars((x + y) * count * 4.5, 0.28, 0.08), bars((x - y) * count * 4.5, 0.28, 0.08)
    )
    petal = ramp(np.abs(far - edge + 0.025), 0.05, 0.02)
    inner = ramp(np.abs(far - 0.12), 0.05, 0.02)
    spokes = bars(turn * petals, 0.22) * ramp(far, 0.1, 0.12)
    rosette = np.maximum(np.maximum(petal, inner), spokes)
    tone = np.where(far < edge, rosette, tone)
    return 0.05 + 0.9 * tone


def cobwebbed(canvas: Canvas) -> Field:
    """A spider's web: threads out of a hub, and threads that sag between them."""
    x, y = canvas.turned()
    dx, dy = x - canvas.dice.between(-0.25, 0.25), y - canvas.dice.between(-0.25, 0.25)
    spokes, rings = canvas.dice.whole(13, 18), canvas.dice.between(9.0, 13.0)
    far, turn = length(dx, dy), turns_of(dx, dy) * spokes
    away = np.abs(frac(turn + 0.5) - 0.5)
    radial = ramp(away * far * 6.28 / spokes, 0.01, 0.004)
    sag = far * (1.0 + (1.8 - 7.2 * away * away) / spokes)
    ring = sag * rings + 0.35 * noise(canvas, 6.0)
    spiral = ramp(np.abs(frac(ring) - 0.5), 0.1, 0.05)
    thread = np.maximum(radial, spiral * 0.85)
    return 0.1 + 0.2 * noise(canvas, 2.5) + 0.7 * thread


def gauzy(canvas: Canvas) -> Field:
    """Two layers of thin open cloth in folds, one seen through the other."""
    x, y = canvas.tilted(0.1)
    tone = 0.3 * noise(canvas, 2.0)
    for lean in (0.0, canvas.dice.between(0.1, 0.25)):
        bend = noise(canvas, 2.0) * 0.3
        fold = wave((x + bend) * canvas.dice.between(1.2, 2.2) + lean * 8.0 * y)
        count = canvas.dice.between(13.0, 17.0)
        across = wave((x + lean * y + 0.3 * bend) * count)
        along = wave((y - lean * x + 0.3 * bend) * count)
        threads = np.maximum(across, along)
        tone = mix(tone, 1.0, (0.1 + 0.6 * threads) * (0.25 + 0.6 * fold))
    return tone * 1.2 - 0.1


def matted(canvas: Canvas) -> Field:
    """Hairs in all directions, on top of each other."""
    tone = 0.25 * noise(canvas, 6.0)
    bend = noise(canvas, 4.0) * 0.2
    for turn in (0.03, 0.23, 0.37, 0.6, 0.81):
        x, y = canvas.plane(turn + canvas.dice.between(0.0, 0.1))
        bend = -bend
        hair = bars(noise_at(canvas, x * 3.0, (y + bend) * 11.0) * 3.0, 0.14, 0.07)
        tone = np.maximum(tone, hair * canvas.dice.between(0.5, 1.0))
    return tone


def crosshatched(canvas: Canvas) -> Field:
    """Pen strokes in two directions, denser where the drawing is in shade."""
    shade = noise(canvas, 2.5)
    start, count = canvas.dice.between(0.0, 1.0), canvas.dice.between(11.0, 15.0)
    ink = np.zeros((canvas.size, canvas.size))
    for turn, depth in ((0.0, 1.0), (0.21, 0.75), (0.11, 0.25)):
        x, y = canvas.plane(start + turn)
        t = y * count + 0.4 * noise(canvas, 4.0)
        stroke = noise_at(canvas, x * 4.0, np.floor(t + 0.5) * 7.0)
        dark = bars(t, 0.2 + 0.1 * depth, 0.08) * ramp(stroke, 0.12, 0.3)
        ink = np.maximum(ink, dark * ramp(shade, depth, depth - 0.25))
    return 0.95 - 0.85 * ink


def strand(across: Field, along: Field) -> Field:
    """Shade a strand that dives under others: places in it from -0.5 to 0.5."""
    bulge = 1.0 - 4.0 * across * across
    return bulge * (1.0 - 2.4 * along * along)
