"""Tables of means over seeds, pure: any two fields of a cell against a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, TypeAlias

from reff_bench.catalog import METHODS
from reff_bench.grid import TableSpec
from reff_bench.report.choice import Choice, choices
from reff_bench.report.settings import is_in, settings_of, telling_fields
from reff_bench.report.statistics import mean_interval
from reff_bench.results import Plan, Record

Axis: TypeAlias = Any  # the value of a cell's field: a number, a name, None


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
        cells: the rows of records behind it.
    """

    selection: str
    setting: Mapping[str, Axis]
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    entries: Mapping[tuple[Axis, Axis], Entry]
    provisional: tuple[str, ...]
    cells: tuple[Record, ...]

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
    """A table.

    Attributes:
        spec: what was asked for.
        panels: its parts; none where no cell fits.
    """

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


def build_table(spec: TableSpec, plan: Plan, rows: Sequence[Record]) -> Table:
    """Return a table of a plan's records.

    Only seeds are pooled: fields in which runs of one row and column still differ, such
    as a second value of `tex` in Tab. 2, make further panels, and so does the method
    where it is neither.

    Args:
        spec: what to show.
        plan: the grid.
        rows: one record per cell of the plan; see `read_rows`.
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
            panels.append(_panel(choice, setting, spec))
    return Table(spec, tuple(panels))


def _fits(row: Record, spec: TableSpec) -> bool:
    if any(row[name] != value for name, value in spec.where.items()):
        return False
    return not any(row[name] == value for name, value in spec.unless.items())


def _panel(choice: Choice, setting: Mapping[str, Axis], spec: TableSpec) -> Panel:
    inside = [row for row in choice.rows if is_in(row, setting)]
    places: dict[tuple[Axis, Axis], dict[str, Record]] = {}
    for row in inside:
        place = row[spec.rows], row[spec.columns]
        places.setdefault(_hashable(place), {})[row["cell_id"]] = row
    late = [row for row in choice.provisional if is_in(row, setting)]
    return Panel(
        selection=choice.by,
        setting=setting,
        rows=_ordered({row for row, _ in places}),
        columns=_ordered({column for _, column in places}),
        entries={
            place: _entry(list(runs.values()), spec.value)
            for place, runs in places.items()
        },
        provisional=tuple(describe_missing(row, choice.by) for row in late),
        cells=tuple(inside),
    )


def _hashable(place: tuple[Axis, Axis]) -> tuple[Axis, Axis]:
    row, column = (tuple(v) if isinstance(v, list) else v for v in place)
    return row, column


def _ordered(values: set[Axis]) -> tuple[Axis, ...]:
    """Sort numbers before names, methods as the paper and then we name them."""
    methods = sorted(METHODS, key=lambda name: METHODS[name].mark != "paper")
    places = {name: place for place, name in enumerate(methods)}

    def key(value: Axis) -> tuple[Any, ...]:
        if isinstance(value, int | float):
            return 0, value, ""
        return 1, places.get(value, len(places)), str(value)

    return tuple(sorted(values, key=key))


def _entry(rows: Sequence[Record], value: str) -> Entry:
    values = [row[value] for row in rows if row.get(value) is not None]
    missing = tuple(
        describe_missing(row, value) for row in rows if row.get(value) is None
    )
    if not values:
        return Entry(None, None, None, None, 0, len(rows), missing)
    n, mean = len(values), fmean(values)
    interval = mean_interval(values)
    if interval is None:
        return Entry(mean, None, None, None, n, len(rows), missing)
    return Entry(
        mean, stdev(values), interval.low, interval.high, n, len(rows), missing
    )


def describe_run(row: Record) -> str:
    """Return a run in a few words."""
    parts = [f"{row['method']}", f"annotations {row['annotations']}"]
    parts += [f"{k} {row[k]:g}" for k in ("bg", "tex") if row.get(k) is not None]
    if row["digit_size"] not in (None, row["image_size"]):
        parts.append(f"digits of {row['digit_size']} px")
    parts += [f"weight {row['weight']:g}"] if row.get("weight") is not None else []
    return ", ".join([*parts, f"seed {row['seed']}"])


def describe_missing(row: Record, value: str) -> str:
    """Say which run lacks a value, and why."""
    why = row["status"]
    if why == "failed":
        why = f"failed: {row.get('reason')}"
    elif why == "done":
        why = f"its record has no {value}"
    return f"{describe_run(row)} ({why}; {row['cell_id']})"
