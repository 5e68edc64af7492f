"""Intervals and tests over seeds, pure; every level is two-sided.

Values are fractions; seeds are what runs are paired by. With two seeds or more an
interval of differences that are all equal has length 0.
"""

import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, stdev
from typing import Generic, NamedTuple, TypeVar

from scipy.special import ndtri, stdtr, stdtrit

Key = TypeVar("Key", bound=Hashable)
LEVEL = 0.95
TOST_LEVEL = 0.90  # its interval within the margin: both one-sided tests at 5 % pass


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean of differences, first minus second, over the n seeds that two series share.

    None where n is 0; its t-interval, None below two seeds.
    """

    n: int
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided t-tests (Schuirmann 1987) of paired differences.

    Attributes:
        difference: with its 90 % interval.
        margin: the differences are to lie within -margin and margin.
        p: the larger of both tests' p-values; None below two seeds.
    """

    difference: Paired
    margin: float
    p: float | None


@dataclass(frozen=True, slots=True)
class Rank:
    """Mean of a series' ranks over seeds, 1 the highest value; its t-interval.

    The interval is None below two seeds.
    """

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Ranks(Generic[Key]):
    """The ranks among each other of all series that have these seeds."""

    seeds: tuple[int, ...]
    by_key: Mapping[Key, Rank]


def wilson(share: float, n: int) -> Interval:
    """Return the Wilson score interval of a share of n independent samples.

    Wilson 1927, with z the normal quantile of the level:
    (p + z^2/2n +- z sqrt(p(1 - p)/n + z^2/4n^2)) / (1 + z^2/n).

    Raises:
        ValueError: the share isn't in [0, 1], or n is below 1.
    """
    if not 0 <= share <= 1 or n < 1:
        raise ValueError(
            f"a share of {share} of {n} samples has no interval; the share must lie in "
            "[0, 1] and the samples be 1 or more"
        )
    z = float(ndtri((1 + LEVEL) / 2))
    center = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return Interval(
        max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)
    )


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Return the t-interval of a mean; None for fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    half = float(stdtrit(n - 1, (1 + level) / 2)) * stdev(values) / math.sqrt(n)
    mean = fmean(values)
    return Interval(mean - half, mean + half)


def common_seeds(series: Collection[Mapping[int, float]]) -> list[int]:
    """Return the seeds that every series has, in order."""
    return sorted(set.intersection(*(set(values) for values in series)))


def paired(
    a: Mapping[int, float], b: Mapping[int, float], level: float = LEVEL
) -> Paired:
    """Return a minus b over the seeds that both have."""
    differences = [a[seed] - b[seed] for seed in common_seeds((a, b))]
    if not differences:
        return Paired(0, None, None, None)
    low, high = mean_interval(differences, level) or (None, None)
    return Paired(len(differences), fmean(differences), low, high)


def equivalence(
    a: Mapping[int, float], b: Mapping[int, float], margin: float
) -> Equivalence:
    """Test whether a and b differ by less than a margin, paired over seeds.

    Equivalent at 5 % if p is below 0.05, which is when the 90 % interval lies within
    the margin.
    """
    difference, p = paired(a, b, TOST_LEVEL), None
    if difference.n >= 2 and difference.mean is not None:
        differences = [a[seed] - b[seed] for seed in common_seeds((a, b))]
        error = stdev(differences) / math.sqrt(difference.n)
        distance = margin - abs(difference.mean)  # to the nearer end: the larger p
        p = 0.0 if distance > 0 else 1.0
        if error > 0:
            p = float(stdtr(difference.n - 1, -distance / error))
    return Equivalence(difference, margin, p)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, in [-1, 1].

    None for fewer than two values, or where either series is constant.
    """
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    # Only claims need it; scipy.stats, which has it, takes far longer to import.
    from pandas import Series

    return float(Series(x).rank().corr(Series(y).rank()))


def mean_ranks(series: Mapping[Key, Mapping[int, float]]) -> Ranks[Key]:
    """Rank series against each other in each seed, and average over the seeds.

    Series without one of the seeds aren't ranked; equal values share the mean of their
    ranks. The interval is Student's t over the seeds, cut to the ranks that there are:
    with the three to five seeds of a study a bootstrap can't leave the ranks that were
    seen, and covers far too little.
    """
    seeds = _shared_seeds([frozenset(values) for values in series.values()])
    ranked = [key for key, values in series.items() if seeds and {*seeds} <= {*values}]
    found: dict[Key, list[float]] = {key: [] for key in ranked}
    for seed in seeds:
        values = {key: series[key][seed] for key in ranked}
        for key, own in values.items():
            above = sum(other > own for other in values.values())
            equal = sum(other == own for other in values.values())
            found[key].append(above + (equal + 1) / 2)
    by_key = {key: _rank(ranks, len(ranked)) for key, ranks in found.items()}
    return Ranks(seeds, by_key)


def _rank(ranks: Sequence[float], last: int) -> Rank:
    within = mean_interval(ranks)
    if within is None:
        return Rank(fmean(ranks), None, None)
    return Rank(fmean(ranks), max(1.0, within.low), min(float(last), within.high))


def _shared_seeds(series: Sequence[frozenset[int]]) -> tuple[int, ...]:
    """Return the seeds to rank over: those that make use of most values.

    Two or more wherever two series share as many, for the sake of an interval.
    """
    counts = Counter(series)
    shared = {a & b for a, b in combinations(counts, 2)}
    shared |= {seeds for seeds, count in counts.items() if count > 1}
    several = [seeds for seeds in shared if len(seeds) > 1]

    def use(seeds: frozenset[int]) -> tuple[int, list[int]]:
        count = sum(seeds <= own for own in series)
        return count * len(seeds), [-seed for seed in sorted(seeds)]

    best = max(several or shared, key=use) if shared else frozenset[int]()
    return tuple(sorted(best))
