"""Tables of means over seeds, pure: any two fields of a run against a value."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, TypeAlias

from reff_bench.catalog.methods import METHODS, SUPERVISIONS
from reff_bench.grid.config import describe_config
from reff_bench.grid.model import TableSpec
from reff_bench.report.settings import (
    Choice,
    choices,
    is_in,
    settings_of,
    telling_fields,
    values_of,
)
from reff_bench.report.statistics import mean_interval
from reff_bench.results.folder import RunRecord
from reff_bench.results.plan import Plan

Axis: TypeAlias = Any  # the value of a run's field: a number, a name, None


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of a table.

    Attributes:
        mean: over the seeds that are done; None if none is.
        std: with n - 1; None for fewer than two.
        low: lower end of the 95 % t-interval of the mean; None for fewer than two.
        high: upper end.
        n: seeds that are done.
        planned: seeds of the grid.
        missing: the others, each in words.
    """

    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    n: int
    planned: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of a table: one setting, one selection.

    Attributes:
        selection: the metric that chose hyper-parameters; empty if none are tuned.
        setting: values of the fields that tell the panels apart.
        rows: values of the row field, in order.
        columns: likewise.
        entries: by (row, column); absent where the grid plans no run.
        provisional: runs without which the selection isn't final, in words.
        configs: the rows of records behind it.
        trained: method -> how many trainings its numbers took, tuning included.
    """

    selection: str
    setting: Mapping[str, Axis]
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    entries: Mapping[tuple[Axis, Axis], Entry]
    provisional: tuple[str, ...]
    configs: tuple[RunRecord, ...]
    trained: Mapping[str, int]

    def best(self, row: Axis, *, lowest: bool = False) -> float | None:
        """Return the best mean of a row."""
        means = [
            entry.mean
            for column in self.columns
            if (entry := self.entries.get((row, column))) and entry.mean is not None
        ]
        if not means:
            return None
        return min(means) if lowest else max(means)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what was asked for, and its parts; none where no run fits."""

    spec: TableSpec
    panels: tuple[Panel, ...]

    def missing(self) -> tuple[str, ...]:
        """Return every run that the table still lacks, in words, each once."""
        words: dict[str, None] = {}
        for panel in self.panels:
            words.update(dict.fromkeys(panel.provisional))
            for entry in panel.entries.values():
                words.update(dict.fromkeys(entry.missing))
        return tuple(words)


def build_table(spec: TableSpec, plan: Plan, rows: Sequence[RunRecord]) -> Table:
    """Return a table of a plan's records.

    Only seeds are pooled: fields in which runs of one row and column still differ, such
    as a second value of `tex` in Tab. 2, make further panels, and so does the method
    where it is neither.
    """
    fitting = [row for row in rows if _fits(row, spec)]
    tuned = plan.select.options
    panels = []
    for choice in choices(fitting, plan.select):
        axes = (spec.rows, spec.columns)
        fields = telling_fields(choice.rows, axes, tuned)
        if "method" not in axes:
            fields = ("method", *fields)
        for setting in settings_of(choice.rows, fields):
            panels.append(_panel(choice, setting, fields, spec, fitting))
    return Table(spec, tuple(panels))


def _fits(row: RunRecord, spec: TableSpec) -> bool:
    if any(not _has(row, name, value) for name, value in spec.where.items()):
        return False
    return not any(_has(row, name, value) for name, value in spec.unless.items())


def _has(row: RunRecord, name: str, value: Any) -> bool:  # noqa: ANN401
    """Return whether a setting has a value, which a file may hold as a list."""
    found: Any = row.settings.value(name)
    return bool(found == (tuple(value) if isinstance(value, list) else value))


def _panel(
    choice: Choice,
    setting: Mapping[str, Axis],
    fields: Sequence[str],
    spec: TableSpec,
    every: Sequence[RunRecord],
) -> Panel:
    inside = [row for row in choice.rows if is_in(row, setting, fields)]
    places: dict[tuple[Axis, ...], dict[str, RunRecord]] = {}
    for row in inside:
        place = values_of(row, (spec.rows, spec.columns))
        places.setdefault(place, {})[row.id] = row
    late = [row for row in choice.provisional if is_in(row, setting, fields)]
    trainings = {row.id: row for row in every if is_in(row, setting, fields)}
    return Panel(
        selection=choice.by,
        setting=setting,
        rows=_ordered({row for row, _ in places}),
        columns=_ordered({column for _, column in places}),
        entries={
            (row, column): _entry(list(runs.values()), spec.value)
            for (row, column), runs in places.items()
        },
        provisional=tuple(describe_missing(row, choice.by) for row in late),
        configs=tuple(inside),
        trained=Counter(row.method for row in trainings.values()),
    )


def _ordered(values: set[Axis]) -> tuple[Axis, ...]:
    """Sort numbers before names, methods as the paper and then we name them."""
    methods = sorted(METHODS, key=lambda name: METHODS[name].mark != "paper")
    names = (*methods, *SUPERVISIONS)
    places = {name: place for place, name in enumerate(names)}

    def key(value: Axis) -> tuple[Any, ...]:
        if isinstance(value, int | float):
            return 0, value, ""
        return 1, places.get(value, len(places)), str(value)

    return tuple(sorted(values, key=key))


def _entry(rows: Sequence[RunRecord], value: str) -> Entry:
    values = [row.metrics[value] for row in rows if value in row.metrics]
    missing = tuple(
        describe_missing(row, value) for row in rows if value not in row.metrics
    )
    if not values:
        return Entry(None, None, None, None, 0, len(rows), missing)
    n, mean = len(values), fmean(values)
    low, high = mean_interval(values) or (None, None)
    std = stdev(values) if n > 1 else None
    return Entry(mean, std, low, high, n, len(rows), missing)


def describe_missing(row: RunRecord, value: str) -> str:
    """Say which run lacks a value, and why."""
    why = row.status
    if why == "failed":
        why = f"failed: {row.reason}"
    elif why == "done":
        why = f"its record has no {value}"
    return f"{describe_config(row.settings, exact=True)} ({why}; {row.id})"
