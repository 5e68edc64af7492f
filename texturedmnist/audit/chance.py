"""What chance alone gives: exact bounds of counts, simulated bounds of the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.special import xlogy
from scipy.stats import binom, random_table

LABELS = 10
TABLES = 1_999
SUSPICIOUS = 0.01  # a p-value that calls for more tables than that
TOLERANCE = 1.0e-9  # floating-point sums of equal tables may differ by less
UPPER = 0.999  # the quantile of chance that reports show
# Tables of so many cells are simulated one by one, sample by sample: whole tables of
# 3,000 classes take half a minute and a gigabyte. Of fewer cells they are as fast.
MANY_CELLS = 10_000

Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Sample = Callable[[int], Values]


@dataclass(frozen=True, slots=True)
class Range:
    """Where chance puts a value, and how probable a value as far off as this one is."""

    mean: float
    low: float
    high: float
    p_value: float


def bound_count(
    found: int, trials: Sequence[int], chances: Sequence[float], level: float
) -> Range:
    """Compare a number of successes with that of independent trials, exactly.

    Trials and probabilities of a success are given by kind. Chance leaves [low, high]
    with a probability of at most `level`, half of it on either side; the p-value is
    two-sided, twice the smaller tail.
    """
    mass = np.ones(1)
    for chance in sorted(set(chances)):
        count = sum(n for n, c in zip(trials, chances, strict=True) if c == chance)
        more = binom.pmf(np.arange(count + 1), count, chance)
        mass = np.clip(fftconvolve(mass, more), 0, None) if len(mass) > 1 else more
    below, above = np.cumsum(mass), np.cumsum(mass[::-1])[::-1]
    return Range(
        mean=float(np.dot(trials, chances)),
        low=int(np.argmax(below > level / 2)),
        high=int(len(above) - 1 - np.argmax(above[::-1] > level / 2)),
        p_value=float(min(1.0, 2 * min(below[found], above[found]))),
    )


def mutual_information(tables: Counts) -> Values:
    """Return the plug-in mutual information of rows and columns in bits.

    I = sum_ij n_ij / n * log2(n_ij * n / (n_i * n_j))

    Args:
        tables: (..., R, C) counts n_ij >= 0, each table with n >= 1.

    Returns:
        (...) float64 >= 0, up to rounding.
    """
    total = tables.sum(axis=(-2, -1))
    nats = _sum_log(tables, (-2, -1)) + xlogy(total, total)
    nats = nats - _sum_log(tables.sum(axis=-1), -1) - _sum_log(tables.sum(axis=-2), -1)
    bits: Values = nats / total / np.log(2)
    return bits


def conditional_entropy(table: Counts) -> float:
    """Return the entropy of the row given the column in bits: (R, C) counts.

    It is exactly 0 if every column has all its counts in one row.
    """
    columns = table.sum(axis=0)
    nats = xlogy(columns, columns) - xlogy(table, table).sum(axis=0)
    return float(nats.sum() / table.sum() / np.log(2))


def permute_table(table: Counts, rng: np.random.Generator) -> Sample:
    """Return a sampler of the mutual information when one variable is shuffled.

    Shuffling draws tables of the same margins with the probabilities of Patefield 1981,
    which scipy samples without going through the samples.
    """
    if table.size >= MANY_CELLS:
        return _permute_many(table, rng)
    kept = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    chance = random_table(kept.sum(axis=1), kept.sum(axis=0))
    return lambda count: mutual_information(
        chance.rvs(count, method="patefield", random_state=rng)
    )


def draw_table(rows: Counts, chances: Values, rng: np.random.Generator) -> Sample:
    """As `permute_table`, for known chances: (R,) samples, (R, C) chances by row."""
    if chances.size >= MANY_CELLS:
        return _draw_many(rows, chances, rng)
    return lambda count: mutual_information(
        rng.multinomial(rows, chances, size=(count, len(rows)))
    )


def draw_unevenness(total: int, classes: int, rng: np.random.Generator) -> Sample:
    """Return a sampler of `unevenness` when all classes are equally probable."""
    if LABELS * classes >= MANY_CELLS:
        one = partial(rng.integers, 0, classes, total)
        return _repeat(lambda: float(unevenness(np.bincount(one(), minlength=classes))))
    even = np.full(classes, 1 / classes)
    return lambda count: unevenness(rng.multinomial(total, even, size=count))


def unevenness(counts: Counts) -> Values:
    """Return Pearson's chi-square of (..., C) counts against equal ones."""
    mean = counts.mean(axis=-1, keepdims=True)
    squares: Values = ((counts - mean) ** 2 / mean).sum(axis=-1)
    return squares


def bound_value(
    found: float, sample: Sample, level: float, *, two_sided: bool
) -> Range:
    """Compare a value with as many as `sample` is asked to draw by chance.

    A p-value is (1 + number of simulated values as far off) / (1 + number of all). If
    the first tables leave doubt, the value is compared with new ones, enough for a
    p-value below `level`, that of the test. `two_sided`: too small a value counts too.

    Returns:
        Mean and range of `TABLES` values (up to the quantile `UPPER`; from 0 if
        one-sided), and the p-value.
    """
    null = sample(TABLES)
    tails = 2 if two_sided else 1
    p_value = _tail(found, null, tails)
    if p_value <= SUSPICIOUS:
        rounds = int(np.ceil(tails / level / TABLES))
        more = np.concatenate([sample(TABLES) for _ in range(rounds)])
        p_value = _tail(found, more, tails)
    low = float(np.quantile(null, 1 - UPPER)) if two_sided else 0.0
    return Range(float(null.mean()), low, float(np.quantile(null, UPPER)), p_value)


def _tail(found: float, null: Values, tails: int) -> float:
    as_large = int((null >= found - TOLERANCE).sum())
    as_small = int((null <= found + TOLERANCE).sum()) if tails == 2 else as_large
    return min(1.0, tails * (1 + min(as_large, as_small)) / (1 + len(null)))


def _sum_log(counts: Counts, axis: int | tuple[int, int]) -> Values:
    total: Values = xlogy(counts, counts).sum(axis=axis)
    return total


def _permute_many(table: Counts, rng: np.random.Generator) -> Sample:
    """Return a sampler of the mutual information in bits of shuffled (R, C) counts."""
    rows, columns = table.shape
    cells = np.indices(table.shape).reshape(2, -1)
    label, number = np.repeat(cells, table.ravel(), axis=1)
    total, terms = int(table.sum()), _terms(int(table.sum()))
    fixed = terms[total] - terms[table.sum(axis=1)].sum()
    fixed -= terms[table.sum(axis=0)].sum()

    def draw() -> float:
        cell = rng.permutation(label) * columns + number
        counts = np.bincount(cell, minlength=rows * columns)
        return float((terms[counts].sum() + fixed) / total / np.log(2))

    return _repeat(draw)


def _draw_many(rows: Counts, chances: Values, rng: np.random.Generator) -> Sample:
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

    return _repeat(draw)


def _repeat(draw: Callable[[], float]) -> Sample:
    """Return a sampler that draws one value after another."""
    return lambda count: np.array([draw() for _ in range(count)])


def _terms(most: int) -> Values:
    """Return n log n for n = 0 ... most: a table is quicker than logarithms."""
    terms: Values = xlogy(np.arange(most + 1), np.arange(most + 1))
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
