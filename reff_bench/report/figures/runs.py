"""Which runs a figure is about: settings, methods, annotation budgets, one seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from reff_bench.catalog.methods import METHODS
from reff_bench.grid.model import TableSpec
from reff_bench.report.choice import choices
from reff_bench.report.settings import is_in, settings_of, telling_fields
from reff_bench.report.tables import Panel, build_table
from reff_bench.results.folder import RunFolder, RunRecord
from reff_bench.results.panels import read_panels
from reff_bench.results.plan import Plan

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
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

    def main(self) -> list[RunRecord]:
        """Return the runs with most annotations of the first main setting."""
        return most_annotated(self.first_setting(main_rows(self.rows)))

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
            inside = [row for row in of if is_in(row, setting)]
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
