"""Which runs belong together: what tells them apart, and which options are chosen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from reff_bench.grid.config import RunConfig, run_fields
from reff_bench.grid.model import Select
from reff_bench.results.folder import RunRecord

# Never a reason to split a table: identities follow the fields that they stand for,
# and what isn't part of a run's id makes no other run.
NOT_SETTINGS = (
    *("record_version", "data_identity", "weights_identity", "root", "seed"),
    "loader_workers",
)


def telling_fields(
    rows: Sequence[RunRecord], axes: Iterable[str], tuned: Iterable[str]
) -> tuple[str, ...]:
    """Return the fields in which runs of one method and place differ, but for the seed.

    So the seed is all that runs of one method, place (a value of each axis) and setting
    differ in. What selection has tuned tells nothing apart.
    """
    axes = (*axes,)
    # `supervision` may be an axis, and follows from the method.
    names = dict.fromkeys((*run_fields(row.settings for row in rows), *axes))
    every = zip(*(values_of(row, names) for row in rows), strict=True)
    columns = dict(zip(names, every, strict=False))
    varied = [name for name, column in columns.items() if len({*column}) > 1]
    without = {*axes, *NOT_SETTINGS, *tuned}
    fields: list[str] = []
    for name in varied:
        places = [columns[key] for key in (*axes, "method", *fields)]
        if name not in without and _count(*places, columns[name]) > _count(*places):
            fields.append(name)
    return tuple(fields)


def _count(*columns: Iterable[Any]) -> int:
    """Return how many combinations of values there are."""
    return len({*zip(*columns, strict=True)})


def values_of(row: RunRecord, fields: Iterable[str]) -> tuple[Any, ...]:
    """Return some fields of a run's settings."""
    return row.settings.values(fields)


def settings_of(
    rows: Sequence[RunRecord], fields: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield each combination of values, without the options that its methods lack.

    Runs of a method without an option belong to every setting of the others that has
    their values; alone they have a setting only where there is no such.
    """
    values = dict.fromkeys(values_of(row, fields) for row in rows)
    every = [dict(zip(fields, one, strict=True)) for one in values]
    for own in every:
        partly = any(_is_lacking(name, value) for name, value in own.items())
        if not partly or not any(
            all(_agree(name, value, other[name]) for name, value in own.items())
            for other in every
            if other is not own
        ):
            yield {k: value for k, value in own.items() if not _is_lacking(k, value)}


def is_in(row: RunRecord, setting: Mapping[str, Any], fields: Iterable[str]) -> bool:
    """Return whether a run belongs to a setting that was made of these fields."""
    return all(
        _agree(name, row.settings.value(name), setting.get(name)) for name in fields
    )


def _agree(name: str, own: object, value: object) -> bool:
    return own == value or _is_lacking(name, own)


def _is_lacking(name: str, value: object) -> bool:
    return value is None and name not in RunConfig.model_fields


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
