"""Which runs a figure is about, and what it says of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from reff_bench.catalog.datasets import dataset_title
from reff_bench.catalog.methods import METHODS, known_method
from reff_bench.grid.model import TableSpec
from reff_bench.report.figures.style import title_of
from reff_bench.report.settings import choices, is_in, settings_of, telling_fields
from reff_bench.report.tables import Panel, build_table
from reff_bench.report.words import (
    UNITS,
    distinct,
    selection_rule,
    show,
    values_in_words,
)
from reff_bench.results.folder import RunFolder, RunRecord
from reff_bench.results.panels import read_panels
from reff_bench.results.plan import Plan

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class RunSet:
    """The runs of a grid, and their example images."""

    folder: RunFolder
    _examples: dict[str, Arrays | None] = field(default_factory=dict)

    def examples(self, row: RunRecord) -> Arrays | None:
        """Return a run's example images and maps, read once."""
        if row.id not in self._examples:
            self._examples[row.id] = read_panels(self.folder.out / "cells" / row.id)
        return self._examples[row.id]

    @property
    def plan(self) -> Plan:
        """The grid."""
        return self.folder.plan

    @property
    def rows(self) -> Sequence[RunRecord]:
        """One record for each run of the grid."""
        return self.folder.records

    @property
    def selection(self) -> str:
        """The metric that chose hyper-parameters; empty if none are tuned."""
        return self.plan.select.by if self.plan.select.options else ""

    @cached_property
    def main(self) -> list[RunRecord]:
        """The runs of the first main setting."""
        return self.first_setting(main_rows(self.rows))

    def first_setting(self, rows: Sequence[RunRecord]) -> list[RunRecord]:
        """Return the chosen runs of the first setting among some records."""
        panels = self.settings("annotations", "test_accuracy", of=rows)
        return list(panels[0].configs) if panels else []

    def settings(
        self, axis: str, value: str, *, of: Sequence[RunRecord]
    ) -> tuple[Panel, ...]:
        """Return a table's panels under the grid's first selection rule.

        Runs of a method that differ in more than the axis and the seed are apart, such
        as in a second value of `tex`: what varies along an axis is the axis alone.
        """
        chosen = choices(of, self.plan.select)[0].rows
        follows = {axis, f"test_{axis}", *self.plan.select.options}
        fields = telling_fields(chosen, (), follows)
        spec = TableSpec(name=value, rows=axis, columns="method", value=value)
        panels: list[Panel] = []
        for setting in settings_of(chosen, fields):
            inside = [row for row in of if is_in(row, setting, fields)]
            for panel in build_table(spec, self.plan, inside).panels:
                if panel.selection == self.selection:
                    whole = {**setting, **panel.setting}
                    panels.append(replace(panel, setting=whole))
        return tuple(panels)


def main_rows(rows: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs that the paper's Fig. 2 to 6 are about.

    Those with digits of full size and, where the grid has such, with a spurious feature
    in training (as in Tab. 2).
    """
    full = [row for row in rows if not row.settings.has_small_digits]
    return [row for row in full if row.settings.bg != 1.0] or full


def budgets(rows: Iterable[RunRecord]) -> list[Any]:
    """Return the annotation budgets, ascending, `all` last."""
    found = {row.settings.annotations for row in rows}
    return sorted(found, key=lambda n: (n == "all", 0 if n == "all" else n))


def most_annotated(rows: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs of each method at its largest annotation budget."""
    most = {method: budgets(of_method(rows, method))[-1] for method in methods_of(rows)}
    return [row for row in rows if row.settings.annotations == most[row.method]]


def of_method(rows: Iterable[RunRecord], method: str) -> list[RunRecord]:
    """Return the runs of a method."""
    return [row for row in rows if row.method == method]


def first_done(rows: Iterable[RunRecord]) -> RunRecord | None:
    """Return the finished run of the lowest seed."""
    done = [row for row in rows if row.status == "done"]
    return min(done, key=lambda row: row.seed, default=None)


def methods_of(rows: Iterable[RunRecord]) -> list[str]:
    """Return the methods of some runs as tables order them: the paper's first."""
    found = list(dict.fromkeys(row.method for row in rows))
    order = sorted(METHODS, key=lambda name: METHODS[name].mark != "paper")
    own = [name for name in found if name not in order]
    return [name for name in order if name in found] + own


def caption_of(*lead: str, rows: Sequence[RunRecord], runs: RunSet) -> str:
    """Return a caption: what is shown, then everything that its runs have in common.

    Empty sentences are left out.
    """
    rule = selection_rule(runs.plan.select, runs.selection)
    parts = [*lead, budget_in_words(rows), data_in_words(rows), networks_in_words(rows)]
    return " ".join(part for part in (*parts, rule) if part)


def networks_in_words(rows: Sequence[RunRecord]) -> str:
    """Return what the networks of some runs are."""
    start = values_in_words(rows, "weights") or "from scratch"
    epochs = values_in_words(rows, "epochs")
    return f"Networks: {values_in_words(rows, 'backbone')} {start}, {epochs} epochs."


def data_in_words(rows: Sequence[RunRecord]) -> str:
    """Return what the data of some runs is."""
    data = ", ".join(dataset_title(name) for name in distinct(rows, "dataset"))
    parts = [f"{data}, {values_in_words(rows, 'image_size')} px"]
    sizes = distinct(rows, "digit_size")
    if sizes and sizes != distinct(rows, "image_size"):
        parts.append(f"digits of {values_in_words(rows, 'digit_size')} px")
    if distinct(rows, "train"):
        parts.append(f"{values_in_words(rows, 'train')} training images")
    for name in ("bg", "tex"):
        if distinct(rows, name):
            test = values_in_words(rows, f"test_{name}")
            parts.append(f"{name} {values_in_words(rows, name)} (test {test})")
    return ", ".join(parts) + "."


def unit_in_words(rows: Sequence[RunRecord]) -> str:
    """Return what an annotation budget counts."""
    units = distinct(rows, "annotation_unit")
    return f"annotated {' or '.join(UNITS[unit] for unit in units)}"


def budget_in_words(rows: Sequence[RunRecord]) -> str:
    """Return the annotation budget of the runs that use any, by method if need be.

    Empty where a method has several: then they are what the figure varies.
    """
    found: dict[str, set[Any]] = {}
    for row in rows:
        if known_method(row.method).uses_masks:
            found.setdefault(row.method, set()).add(row.settings.annotations)
    if any(len(several) > 1 for several in found.values()):
        return ""
    each = {show(method): show(one) for method, (one,) in found.items()}
    if len(set(each.values())) == 1:
        return f"Annotations: {next(iter(each.values()))}."
    listed = ", ".join(f"{one} for {name}" for name, one in each.items())
    return f"Annotations: {listed}." if listed else ""


def means_in_words(panels: Sequence[Panel]) -> str:
    """Return over how many seeds a chart's means are, and what its bands are."""
    entries = [entry for panel in panels for entry in panel.entries.values()]
    numbers = sorted({entry.n for entry in entries if entry.n})
    if numbers == [1]:
        return "One seed: no interval can be given."
    span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    alone = "; none of one seed" if numbers[0] == 1 else ""
    return f"Means over {span} seeds, 95 % t-intervals of the mean{alone}."


def has_numbers(panel: Panel) -> bool:
    """Return whether any run of a panel has its value."""
    return any(entry.n for entry in panel.entries.values())


def missing_values(panels: Sequence[Panel], value: str) -> tuple[str, ...]:
    """Return one line on the runs without a value; none if all have it."""
    runs: dict[str, None] = {}
    for panel in panels:
        for entry in panel.entries.values():
            runs.update(dict.fromkeys(entry.missing))
    if not runs:
        return ()
    return (f"{len(runs)} runs have no {value} yet, the first: {next(iter(runs))}",)


def missing_methods(
    rows: Sequence[RunRecord], done: Sequence[RunRecord]
) -> tuple[str, ...]:
    """Return a line for each method of which none of the finished runs is."""
    absent = [name for name in methods_of(rows) if name not in methods_of(done)]
    return tuple(f"no finished run of {title_of(name)}" for name in absent)


def setting_names(panels: Sequence[Panel]) -> list[str]:
    """Return for each setting of a figure the values that the others don't share."""
    return [
        ", ".join(
            f"{name} = {show(value)}"
            for name, value in panel.setting.items()
            if any(other.setting.get(name) != value for other in panels)
        )
        for panel in panels
    ]
