"""Choosing hyper-parameters per design, pure; never on the test split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from reff_bench.grid.config import run_fields
from reff_bench.grid.model import Select
from reff_bench.report.settings import values_of
from reff_bench.results.folder import RunRecord


@dataclass(frozen=True, slots=True)
class Choice:
    """The rows that stand for their designs.

    Attributes:
        by: the metric that chose.
        rows: of the chosen values, whatever their status.
        provisional: rows of any candidate that had no such value yet: once they have,
            another value may be chosen.
    """

    by: str
    rows: tuple[RunRecord, ...]
    provisional: tuple[RunRecord, ...]


def choose(rows: Sequence[RunRecord], options: Mapping[str, Any], by: str) -> Choice:
    """Keep, for each design, the rows of its best values of the tuned options.

    A design is everything but the seed and the tuned options. Best is the highest mean
    of `by`, a validation metric, over the seeds that have it; of equals the first in
    the grid.
    """
    free = {"seed", *options}
    design = [name for name in run_fields(r.settings for r in rows) if name not in free]
    designs: dict[tuple[Any, ...], dict[tuple[Any, ...], list[RunRecord]]] = {}
    for row in rows:
        candidates = designs.setdefault(values_of(row, design), {})
        candidates.setdefault(values_of(row, options), []).append(row)
    kept: list[RunRecord] = []
    provisional: list[RunRecord] = []
    for candidates in designs.values():
        scores = [_score(part, by) for part in candidates.values()]
        kept += list(candidates.values())[scores.index(max(scores))]
        if len(candidates) > 1:
            every = (row for part in candidates.values() for row in part)
            provisional += [row for row in every if by not in row.metrics]
    return Choice(by, tuple(kept), tuple(provisional))


def choices(rows: Sequence[RunRecord], select: Select) -> tuple[Choice, ...]:
    """Return the choice of a grid and, if it names one, the second beside it."""
    if not select.options:
        return (Choice("", tuple(rows), ()),)
    metrics = [select.by] if select.also is None else [select.by, select.also]
    return tuple(choose(rows, select.options, by) for by in dict.fromkeys(metrics))


def _score(rows: Sequence[RunRecord], by: str) -> float:
    values = [row.metrics[by] for row in rows if by in row.metrics]
    return fmean(values) if values else float("-inf")
