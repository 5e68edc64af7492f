import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from reff_bench.report.statistics import (
    equivalence,
    mean_interval,
    mean_ranks,
    paired,
    rank_correlation,
    wilson,
)

PATIENT = settings(deadline=None)  # the machine may be busy
SHARES = st.integers(0, 1000).map(lambda number: number / 1000)
SERIES = st.lists(SHARES, min_size=2, max_size=9)
PAIRS = st.lists(st.tuples(SHARES, SHARES), min_size=2, max_size=9)


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def spread(values: list[float]) -> float:
    return max(values) - min(values)


@PATIENT
@given(st.integers(1, 3000), st.data())
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    theirs = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    ours = wilson(hits / n, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("share", "n"), [(1.1, 10), (-0.1, 10), (0.5, 0)])
def test_no_share_no_interval(share: float, n: int) -> None:
    with pytest.raises(ValueError, match=rf"a share of {share} of {n} samples has no"):
        wilson(share, n)


@PATIENT
@given(SERIES, st.sampled_from([0.9, 0.95]))
def test_the_interval_of_a_mean_is_scipys(values: list[float], level: float) -> None:
    ours = mean_interval(values, level)
    assert ours is not None
    expected = (values[0], values[0])  # where all are equal
    if spread(values) > 0:
        expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (ours.low, ours.high) == pytest.approx(tuple(expected))


def test_one_run_has_no_interval() -> None:
    assert mean_interval([0.5]) is None
    one = paired({0: 0.75}, {0: 0.5})
    assert (one.n, one.mean, one.low, one.high) == (1, 0.25, None, None)
    assert equivalence({0: 0.75}, {0: 0.75}, 0.02).p is None


@PATIENT
@given(PAIRS)
def test_paired_differences_are_scipys(pairs: list[tuple[float, float]]) -> None:
    a, b = (list(part) for part in zip(*pairs, strict=True))
    assume(spread([x - y for x, y in pairs]) > 1e-9)
    ours = paired(by_seed(a), by_seed(b))
    theirs = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert ours.n == len(pairs)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_only_common_seeds_are_paired() -> None:
    found = paired({0: 0.5, 1: 0.6, 7: 0.1}, {1: 0.5, 0: 0.5, 3: 0.9})
    assert found.n == 2
    assert found.mean == pytest.approx(0.05)
    assert paired({0: 0.5}, {1: 0.5}).mean is None
    assert equivalence({0: 0.5}, {1: 0.5}, 0.1).p is None


@PATIENT
@given(PAIRS, st.sampled_from([0.01, 0.02, 0.5]))
def test_equivalence_is_two_one_sided_tests(
    pairs: list[tuple[float, float]], margin: float
) -> None:
    differences = [x - y for x, y in pairs]
    assume(spread(differences) > 1e-9)
    a, b = (list(part) for part in zip(*pairs, strict=True))
    found = equivalence(by_seed(a), by_seed(b), margin)
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    assert found.p == pytest.approx(max(above, below), abs=1e-12)
    assert found.difference.low is not None
    assert found.difference.high is not None
    inside = -margin < found.difference.low and found.difference.high < margin
    if abs(max(above, below) - 0.05) > 1e-9:
        assert inside == (found.p is not None and found.p < 0.05)


def test_differences_without_spread_are_decided_by_their_value() -> None:
    zeros = by_seed([0.0] * 5)
    assert equivalence(zeros, zeros, 0.02).p == 0
    assert equivalence(by_seed([0.25] * 5), zeros, 0.02).p == 1


@PATIENT
@given(SERIES)
def test_the_rank_correlation_is_that_of_the_ranks(values: list[float]) -> None:
    x = list(range(len(values)))
    found = rank_correlation(x, values)
    if len(set(values)) == 1:
        assert found is None
    else:
        ranks = stats.rankdata(values)
        assert found == pytest.approx(stats.pearsonr(x, ranks).statistic)
    assert rank_correlation([], []) is None


TABLES = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.lists(SHARES, min_size=n, max_size=n), min_size=1, max_size=6)
)


@PATIENT
@given(TABLES)
def test_ranks_are_scipys(table: list[list[float]]) -> None:
    theirs = stats.rankdata([[-one for one in line] for line in table], axis=0)
    found = mean_ranks({n: by_seed(line) for n, line in enumerate(table)})
    assert len(found.seeds) == (len(table[0]) if len(table) > 1 else 0)
    for number, rank in found.by_key.items():
        assert rank.mean == pytest.approx(theirs[number].mean())
        within = mean_interval([*theirs[number]])
        if within is None:
            assert (rank.low, rank.high) == (None, None)
        else:
            bounds = (max(1, within.low), min(len(table), within.high))
            assert (rank.low, rank.high) == pytest.approx(bounds)


@pytest.mark.parametrize(
    ("series", "seeds"),
    [
        ([[0, 1, 2], [0, 1, 2], [1, 2, 3]], (0, 1, 2)),  # six values, as by 1 and 2
        ([[0, 1, 2], [1, 2, 3]], (1, 2)),
        ([[0], [0], [0], [0], [0, 1], [0, 1]], (0, 1)),  # for an interval
        ([[0], [0], [1, 2]], (0,)),
        ([[0, 1], [2, 3]], ()),
        ([], ()),
    ],
)
def test_ranks_are_over_the_seeds_that_make_use_of_most_values(
    series: list[list[int]], seeds: tuple[int, ...]
) -> None:
    found = mean_ranks({n: dict.fromkeys(s, 0.5) for n, s in enumerate(series)})
    assert found.seeds == seeds
    ranked = {n for n, own in enumerate(series) if seeds and {*seeds} <= {*own}}
    assert {*found.by_key} == ranked
