"""Simulated chance for many classes: sample by sample, table by table.

The work is that of the samples and the memory that of one table, whereas drawing all
cells of all tables at once takes half a minute and a gigabyte for 3,000 classes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

MANY_CELLS = 10_000  # from so many on; below, drawing whole tables is as fast

Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Sample = Callable[[int], Values]


def permute_many(table: Counts, rng: np.random.Generator) -> Sample:
    """Return a sampler of the mutual information in bits of shuffled (R, C) counts."""
    rows, columns = table.shape
    label, number = (np.repeat(kind, table.ravel()) for kind in _cells(table.shape))
    total, terms = int(table.sum()), _terms(int(table.sum()))
    fixed = terms[total] - terms[table.sum(axis=1)].sum()
    fixed -= terms[table.sum(axis=0)].sum()

    def draw() -> float:
        cell = rng.permutation(label) * columns + number
        counts = np.bincount(cell, minlength=rows * columns)
        return float((terms[counts].sum() + fixed) / total / np.log(2))

    return repeat(draw)


def draw_many(rows: Counts, chances: Values, rng: np.random.Generator) -> Sample:
    """As `draw_table`: (R,) samples of each row, (R, C) chances of their columns."""
    columns, total = chances.shape[1], int(rows.sum())
    keep, other = (np.concatenate(a) for a in zip(*map(_alias, chances), strict=True))
    start = np.repeat(np.arange(len(rows)) * columns, rows)
    terms = _terms(total)
    fixed = terms[total] - terms[rows].sum()

    def draw() -> float:
        place = rng.random(total) * columns
        column = np.minimum(place.astype(np.int64), columns - 1)
        cell = start + column
        cell = start + np.where(place - column < keep[cell], column, other[cell])
        counts = np.bincount(cell, minlength=len(rows) * columns)
        of_column = counts.reshape(len(rows), columns).sum(axis=0)
        nats = terms[counts].sum() - terms[of_column].sum() + fixed
        return float(nats / total / np.log(2))

    return repeat(draw)


def repeat(draw: Callable[[], float]) -> Sample:
    """Return a sampler that draws one value after another."""
    return lambda count: np.array([draw() for _ in range(count)])


def _cells(shape: tuple[int, ...]) -> tuple[Counts, Counts]:
    """Return the row and the column of each cell."""
    row, column = np.indices(shape)
    return row.ravel(), column.ravel()


def _terms(most: int) -> Values:
    """Return n log n for n = 0 ... most: a table is quicker than logarithms."""
    count = np.arange(most + 1)
    terms: Values = xlogy(count, count)
    return terms


def _alias(chances: Values) -> tuple[Values, Counts]:
    """Return the tables of Walker's alias method (Vose 1991).

    Args:
        chances: (C,) probabilities.

    Returns:
        keep: (C,) probability that a column, drawn uniformly, is kept.
        other: (C,) int64, the column that is taken instead.
    """
    keep = chances * (len(chances) / chances.sum())
    other = np.arange(len(chances))
    small, large = (np.flatnonzero(kind).tolist() for kind in (keep < 1, keep >= 1))
    while small and large:
        low, high = small.pop(), large[-1]
        other[low] = high
        keep[high] -= 1 - keep[low]
        if keep[high] < 1:
            small.append(large.pop())
    keep[small + large] = 1  # what rounding has left
    return keep, other
