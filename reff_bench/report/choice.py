"""Choosing hyper-parameters per design, pure; never on the test split."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from reff_bench.grid import Select, run_fields
from reff_bench.results import Record


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
    rows: tuple[Record, ...]
    provisional: tuple[Record, ...]


def choose(rows: Sequence[Record], options: Mapping[str, Any], by: str) -> Choice:
    """Keep, for each design, the rows of its best values of the tuned options.

    A design is everything but the seed and the tuned options. Best is the highest mean
    of `by` over the seeds that have it; of equals the first in the grid.

    Args:
        rows: one per cell.
        options: the tuned options, by name.
        by: a validation metric.
    """
    designs: dict[str, dict[str, list[Record]]] = {}
    for row in rows:
        candidates = designs.setdefault(_key(row, {"seed", *options}), {})
        values = json.dumps([row.get(name) for name in options])
        candidates.setdefault(values, []).append(row)
    kept: list[Record] = []
    provisional: list[Record] = []
    for candidates in designs.values():
        scores = [_score(part, by) for part in candidates.values()]
        kept += list(candidates.values())[scores.index(max(scores))]
        if len(candidates) > 1:
            every = (row for part in candidates.values() for row in part)
            provisional += [row for row in every if row.get(by) is None]
    return Choice(by, tuple(kept), tuple(provisional))


def choices(rows: Sequence[Record], select: Select) -> tuple[Choice, ...]:
    """Return the choice of a grid and, if it names one, the second beside it."""
    if not select.options:
        return (Choice("", tuple(rows), ()),)
    metrics = [select.by] if select.also is None else [select.by, select.also]
    return tuple(choose(rows, select.options, by) for by in dict.fromkeys(metrics))


def _key(row: Record, without: set[str]) -> str:
    fields = {n: row.get(n) for n in run_fields([row]) if n not in without}
    return json.dumps(fields, sort_keys=True)


def _score(rows: Sequence[Record], by: str) -> float:
    values = [row[by] for row in rows if row.get(by) is not None]
    return fmean(values) if values else float("-inf")
