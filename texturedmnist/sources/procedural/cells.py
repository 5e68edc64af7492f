"""Cells around scattered sites (Worley 1996), exact in whole numbers."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from texturedmnist.sources.procedural.canvas import Canvas, Field, RandomStream, sine

Whole = NDArray[np.int64]
Forms = tuple[Whole, Whole, Whole]

SUBPIXELS = 16  # positions are whole numbers of 1/16 px
FORM_SCALE = 256.0  # coefficients of the squared distance are multiples of 1/256
LABEL_BITS = 12
LABELS = 1 << LABEL_BITS


@dataclass(frozen=True, slots=True)
class Sites:
    """Scattered sites, one per square of a lattice; each array (n, n) int64.

    Attributes:
        pitch: side of a square in px.
        x, y: positions in 1/16 px.
        forms: xx, xy, yy; the squared distance is xx dx^2 + 2 xy dx dy + yy dy^2, the
            coefficients in 1/256.
    """

    pitch: int
    x: Whole
    y: Whole
    forms: Forms


@dataclass(frozen=True, slots=True)
class Cells:
    """The nearest sites of every pixel.

    Attributes:
        sites: the sites.
        start: the canvas's first pixel, counted from the first site's square.
        first, second: squared distances to the nearest two sites in 1/256 of squared
            subpixels, times 4096, plus the site's label; (size, size) int64.
    """

    sites: Sites
    start: int
    first: Whole
    second: Whole

    @property
    def nearest(self) -> Field:
        """Distance to the nearest site, in its own radius: (size, size)."""
        return self._distance(self.first)

    @property
    def gap(self) -> Field:
        """How much further away the second nearest is: (size, size), 0 at a border."""
        return self._distance(self.second) - self.nearest

    @property
    def label(self) -> Whole:
        """Number of the nearest site: (size, size) int64 in [0, 4096)."""
        return self.first & (LABELS - 1)

    def offset(self) -> tuple[Field, Field]:
        """Return dx, dy from the nearest site, in pitches; each (size, size)."""
        label, unit = self.label, float(SUBPIXELS * self.sites.pitch)
        pixels = self.start + np.arange(len(label), dtype=np.int64)
        places = pixels * SUBPIXELS + SUBPIXELS // 2
        dx = places[None, :] - self.sites.x.ravel()[label]
        dy = places[:, None] - self.sites.y.ravel()[label]
        return dx.astype(np.float64) / unit, dy.astype(np.float64) / unit

    def _distance(self, key: Whole) -> Field:
        squared = (key >> LABEL_BITS).astype(np.float64)
        unit = float(SUBPIXELS * self.sites.pitch)
        distance: Field = np.sqrt(squared / FORM_SCALE) / unit
        return distance


def find_cells(
    canvas: Canvas,
    across: float,
    *,
    jitter: float = 1.0,
    radii: tuple[float, float] = (1.0, 1.0),
    aspect: float = 1.0,
    turns: tuple[float, float] = (0.0, 0.5),
) -> Cells:
    """Scatter sites and find every pixel's nearest two.

    Args:
        canvas: where to paint.
        across: sites along a side; at most 50.
        jitter: how far sites stray from the middle of their square: 0 to 1.
        radii: bounds of the sites' radii, in pitches.
        aspect: how much longer than wide a site's circle of distance 1 is.
        turns: bounds of the direction in which it is longer, in turns.
    """
    pitch = max(2, round(canvas.size / (across * canvas.zoom)))
    n = canvas.size // pitch + 4
    forms = _draw_forms(canvas.dice, n, radii, aspect, turns)
    sites = _scatter(canvas.dice, pitch, n, jitter, forms)
    first, second = _nearest_two(sites, tilted=aspect != 1.0)
    start = canvas.dice.whole(0, pitch - 1)
    window = slice(start, start + canvas.size)
    return Cells(sites, start + pitch, first[window, window], second[window, window])


def own(canvas: Canvas, cells: Cells, low: float = 0.0, high: float = 1.0) -> Field:
    """Return a random number of each cell, in [low, high), constant in the cell."""
    return canvas.dice.units(LABELS)[cells.label] * (high - low) + low


def _scatter(
    dice: RandomStream, pitch: int, n: int, jitter: float, forms: Forms
) -> Sites:
    """Scatter n x n sites."""
    square = np.arange(n, dtype=np.float64)
    x, y = ((dice.units(n, n) - 0.5) * jitter + 0.5 for _ in range(2))
    unit = float(pitch * SUBPIXELS)
    return Sites(
        pitch=pitch,
        x=np.floor((x + square[None, :]) * unit).astype(np.int64),
        y=np.floor((y + square[:, None]) * unit).astype(np.int64),
        forms=forms,
    )


def _draw_forms(
    dice: RandomStream,
    n: int,
    radii: tuple[float, float],
    aspect: float,
    turns: tuple[float, float],
) -> Forms:
    """Draw how far n x n sites reach and in which direction they are longer."""
    radius = dice.units(n, n) * (radii[1] - radii[0]) + radii[0]
    angle = dice.units(n, n) * (turns[1] - turns[0]) + turns[0]
    cos, sin = sine(angle + 0.25), sine(angle)
    along = 1.0 / (radius * radius * aspect)
    across = along * aspect * aspect
    forms = (
        cos * cos * along + sin * sin * across,
        cos * sin * (along - across),
        sin * sin * along + cos * cos * across,
    )
    xx, xy, yy = (np.floor(form * FORM_SCALE + 0.5).astype(np.int64) for form in forms)
    return xx, xy, yy


def _nearest_two(sites: Sites, *, tilted: bool) -> tuple[Whole, Whole]:
    """Return the two least squared distances of each pixel, the label in the low bits.

    Pixels are seen as (square, place in it) along each axis, so that the terms in dx
    and in dy are small arrays, and only their sum is as large as the image.
    """
    n, pitch = len(sites.x) - 2, sites.pitch
    xx, xy, yy = sites.forms
    places = np.arange(pitch, pitch * (n + 1), dtype=np.int64).reshape(n, pitch)
    places = places * SUBPIXELS + SUBPIXELS // 2
    label = np.arange(len(sites.x) ** 2, dtype=np.int64).reshape(sites.x.shape)
    first = np.full((n, pitch, n, pitch), np.iinfo(np.int64).max)
    second = first.copy()
    key, spare = np.empty_like(first), np.empty_like(first)
    for row, column in product(range(3), repeat=2):
        at = (slice(row, row + n), None, slice(column, column + n), None)
        dx = places - sites.x[at]
        dy = places[:, :, None, None] - sites.y[at]
        part = (xx[at] * dx * dx << LABEL_BITS) + label[at]
        np.add(part, yy[at] * dy * dy << LABEL_BITS, out=key)
        if tilted:
            np.multiply(xy[at] * dx << LABEL_BITS + 1, dy, out=spare)
            np.add(key, spare, out=key)
        np.maximum(first, key, out=spare)
        np.minimum(second, spare, out=second)
        np.minimum(first, key, out=first)
    side = n * pitch
    return first.reshape(side, side), second.reshape(side, side)
