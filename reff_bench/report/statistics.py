"""Intervals and tests over seeds, pure; every level is two-sided.

Values are fractions; seeds are what runs are paired by. With two seeds or more an
interval of differences that are all equal has length 0.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import ndtri, stdtr, stdtrit

LEVEL = 0.95
TOST_LEVEL = 0.90  # its interval within the margin: both one-sided tests at 5 % pass


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: its lower end.
        high: its upper end.
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Paired:
    """What two series of values differ by, over the seeds that both have.

    Attributes:
        n: such seeds.
        mean: of the differences, first minus second; None where n is 0.
        low: lower end of the t-interval; None below two seeds.
        high: its upper end.
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
    """Return a minus b over the seeds that both have.

    Args:
        a: seed -> value.
        b: likewise.
        level: of the interval.
    """
    differences = [a[seed] - b[seed] for seed in common_seeds((a, b))]
    if not differences:
        return Paired(0, None, None, None)
    interval = mean_interval(differences, level)
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return Paired(len(differences), fmean(differences), low, high)


def equivalence(
    a: Mapping[int, float], b: Mapping[int, float], margin: float
) -> Equivalence:
    """Test whether a and b differ by less than a margin, paired over seeds.

    Equivalent at 5 % if p is below 0.05, which is when the 90 % interval lies within
    the margin.
    """
    difference = paired(a, b, TOST_LEVEL)
    if difference.n < 2 or difference.mean is None:
        return Equivalence(difference, margin, None)
    differences = [a[seed] - b[seed] for seed in common_seeds((a, b))]
    error = stdev(differences) / math.sqrt(difference.n)
    distance = margin - abs(difference.mean)  # to the nearer end: the larger p
    if error == 0:
        return Equivalence(difference, margin, 0.0 if distance > 0 else 1.0)
    return Equivalence(
        difference, margin, float(stdtr(difference.n - 1, -distance / error))
    )


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, in [-1, 1].

    None for fewer than two values, or where either series is constant.
    """
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    # Takes half a second to import; only the claims need it.
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)
