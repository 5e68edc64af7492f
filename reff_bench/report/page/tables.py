"""The tables of a page: each number with the runs behind it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from reff_bench.grid.model import TableSpec
from reff_bench.report.render import is_best, show_number
from reff_bench.report.settings import values_of
from reff_bench.report.statistics import wilson
from reff_bench.report.tables import Entry, Panel, build_table
from reff_bench.report.words import caption, describe_setting, is_share, show, title_of
from reff_bench.results.folder import RunFolder, RunRecord

Data: TypeAlias = dict[str, Any]  # for a template
Runs: TypeAlias = dict[tuple[Any, ...], list[RunRecord]]  # by row and column
HEADING = {"tab2": "Tab. 2", "tab3": "Tab. 3"}
# Shown beside a table of test accuracies, where the records have them.
BESIDE = (
    *("worst_group_accuracy", "background_gap", "flip_rate"),
    *("epg", "pointing_game", "annotator_iou"),
)


def main_table(runs: RunFolder) -> Data | None:
    """Return the grid's first table in its first setting, for a glance."""
    for spec in runs.plan.tables[:1]:
        for panel in build_table(spec, runs.plan, runs.records).panels[:1]:
            seeds = max((entry.n for entry in panel.entries.values()), default=0)
            return {**_grid(spec, [panel]), "seeds": seeds}
    return None


def tables_of(runs: RunFolder) -> Iterator[Data]:
    """Yield every table of the grid, and what else is known of the same runs."""
    select = runs.plan.select
    for spec in runs.plan.tables:
        table = build_table(spec, runs.plan, runs.records)
        yield {
            "name": spec.name,
            "heading": HEADING.get(spec.name, spec.name),
            "grids": _grids(spec, table.panels),
            "caption": caption(spec, select, table.panels) if table.panels else "",
            "missing": table.missing(),
            "further": dict(_further(spec, runs)),
        }


def _further(spec: TableSpec, runs: RunFolder) -> Iterator[tuple[str, list[Data]]]:
    """Yield further values of the runs in a table of test accuracies, with titles."""
    known = {name for row in runs.records for name in row.metrics}
    for value in BESIDE:
        if spec.value != "test_accuracy" or value not in known:
            continue
        other = spec.model_copy(update={"value": value})
        panels = build_table(other, runs.plan, runs.records).panels
        if any(entry.n for panel in panels for entry in panel.entries.values()):
            yield title_of(other), _grids(other, panels)


def _grids(spec: TableSpec, panels: Sequence[Panel]) -> list[Data]:
    """Return a table for each setting; its selections stand beside each other."""
    settings: dict[str, list[Panel]] = {}
    for panel in panels:
        settings.setdefault(json.dumps(panel.setting), []).append(panel)
    return [_grid(spec, several) for several in settings.values()]


def _grid(spec: TableSpec, panels: Sequence[Panel]) -> Data:
    title = title_of(spec) + (", %" if is_share(spec.value) else "")
    setting = describe_setting(panels[0].setting)
    columns = [(panel, column) for panel in panels for column in panel.columns]
    rows = dict.fromkeys(row for panel in panels for row in panel.rows)
    runs = {id(panel): _runs(panel, spec) for panel in panels}
    return {
        "title": f"{title}; {setting}" if setting else title,
        "corner": spec.rows,
        "groups": [(panel.selection, len(panel.columns)) for panel in panels],
        "heads": [show(column) for _, column in columns],
        "lines": [
            (
                show(row),
                [
                    _number(panel, row, column, spec.value, runs[id(panel)])
                    for panel, column in columns
                ],
            )
            for row in rows
        ],
    }


def _runs(panel: Panel, spec: TableSpec) -> Runs:
    """Return the runs behind each number of a panel, each once, by seed."""
    found: dict[tuple[Any, ...], dict[str, RunRecord]] = {}
    for row in sorted(panel.configs, key=lambda row: row.seed):
        key = values_of(row, (spec.rows, spec.columns))
        found.setdefault(key, {})[row.id] = row
    return {key: list(runs.values()) for key, runs in found.items()}


def _number(
    panel: Panel,
    row: Any,  # noqa: ANN401 (values of any fields)
    column: Any,  # noqa: ANN401
    value: str,
    found: Runs,
) -> Data:
    """Return a number with its spread, its notes and the runs that it is made of."""
    entry = panel.entries.get((row, column))
    number = {"text": "--", "spread": "", "is_best": False, "notes": []}
    runs = found.get((row, column), [])
    if entry is not None and entry.mean is not None:
        number["text"] = show_number(entry.mean, value)
        number["is_best"] = is_best(entry, panel, row, value)
        number["notes"] = list(_notes(entry, runs, value))
    if entry is not None and entry.std is not None:
        number["spread"] = f" ± {show_number(entry.std, value)}"
    return {**number, "runs": runs}


def _notes(entry: Entry, runs: Sequence[RunRecord], value: str) -> Iterator[str]:
    """Yield a single run's Wilson interval, and over how few runs a mean is."""
    alone = next(run for run in runs if value in run.metrics)
    samples = alone.metrics.get("test_samples")
    if value == "test_accuracy" and entry.n == 1 and samples is not None:
        within = wilson(alone.metrics[value], samples)
        low, high = (show_number(end, value) for end in within)
        yield f"[{low}, {high}]"
    if entry.n != entry.planned:
        yield f"{entry.n} of {entry.planned} seeds"
