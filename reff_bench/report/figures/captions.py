"""What a figure says of its runs, in words, pure."""

from collections.abc import Sequence
from typing import Any

from reff_bench.catalog.datasets import dataset_title
from reff_bench.catalog.methods import known_method
from reff_bench.report.figures.runs import RunSet, methods_of
from reff_bench.report.figures.style import title_of
from reff_bench.report.tables import Panel
from reff_bench.report.words import (
    UNITS,
    distinct,
    selection_rule,
    show,
    values_in_words,
)
from reff_bench.results.folder import RunRecord


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
