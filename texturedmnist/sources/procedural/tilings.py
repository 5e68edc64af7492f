"""Tilings of the plane: every pixel's tile and its place in it."""

import numpy as np
from numpy.typing import NDArray

from texturedmnist.sources.procedural.canvas import Canvas, Field
from texturedmnist.sources.procedural.fields import LATTICE, frac

HEX_ROW = 0.8660254  # distance of the rows of a triangular lattice of pitch 1


def square_cells(x: Field, y: Field) -> tuple[Field, Field, Field, Field]:
    """Return dx, dy from the middle of unit squares, and their column and row."""
    column, row = np.floor(x), np.floor(y)
    return x - column - 0.5, y - row - 0.5, column, row


def staggered_cells(
    x: Field, y: Field, row_height: float = HEX_ROW
) -> tuple[Field, Field, Field, Field]:
    """As `square_cells`, odd rows shifted by a half and rows of another height."""
    row = np.floor(y / row_height)
    shift = np.where(odd(row), 0.5, 0.0)
    column = np.floor(x + shift)
    return x + shift - column - 0.5, y - (row + 0.5) * row_height, column, row


def hexagons(x: Field, y: Field) -> tuple[Field, Field, Field]:
    """Return the distance from a hexagon's middle (0.5 at its walls), and dx, dy."""
    halves = []
    for shift in (0.0, 0.5):
        dx = frac(x + shift) - 0.5
        dy = (frac(y / (2.0 * HEX_ROW) + shift) - 0.5) * (2.0 * HEX_ROW)
        halves.append((dx, dy))
    (ax, ay), (bx, by) = halves
    nearer = ax * ax + ay * ay < bx * bx + by * by
    dx, dy = np.where(nearer, ax, bx), np.where(nearer, ay, by)
    wide = np.abs(dx)
    return np.maximum(wide, 0.5 * wide + HEX_ROW * np.abs(dy)), dx, dy


def scatter(canvas: Canvas, column: Field, row: Field) -> Field:
    """Return one random number in [0, 1) per lattice cell, constant in the cell."""
    values = canvas.dice.units(LATTICE * LATTICE)
    mask = LATTICE - 1
    at = (row.astype(np.int64) & mask) * LATTICE + (column.astype(np.int64) & mask)
    return values[at]


def odd(t: Field) -> NDArray[np.bool_]:
    """Return whether whole numbers are odd."""
    is_odd: NDArray[np.bool_] = t.astype(np.int64) & 1 == 1
    return is_odd
