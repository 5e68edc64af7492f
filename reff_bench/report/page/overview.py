"""What was run: how many, the grid, its data, the rules, the deviations."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from reff_bench.grid import OPTIONS, Cell, run_fields
from reff_bench.report.page.content import Content
from reff_bench.report.page.html import Html, grid, items, join, tag
from reff_bench.report.settings import NOT_SETTINGS
from reff_bench.report.words import deviations, distinct, selection_rule, show
from reff_bench.results import STATUSES, RunRecord

DATA = (
    *("dataset", "image_size", "digit_size", "bg", "tex", "test_bg", "test_tex"),
    *("digits", "digit_textures", "background_textures", "train", "val", "test"),
)
MARKS = (
    "Marks: [paper] said in the paper's supplement; [assumed] our choice where its "
    "words are lost; [other] from another public source; ours: a method or net of our "
    "own."
)
CAUTION = (
    "The paper's numbers aren't known to us: only the outcomes that it states can be "
    "checked, and no number here can be held against the paper's."
)


def counts_in_words(content: Content) -> str:
    """Return how many runs there are, and how far they are."""
    runs = content.runs()
    counts = Counter(row.status for row in runs)
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    shared = len(content.rows) - len(runs)
    note = f" {shared} further cells of the grid share one of them." if shared else ""
    return f"{len(runs)} runs: {', '.join(parts) or 'none'}.{note}"


def show_overview(content: Content) -> Html:
    """Return what was run: counts, the grid's axes, its data."""
    axes = [
        (_meaning(name), ", ".join(show(value) for value in values))
        for name, values in _axes(content.rows)
    ]
    seeds = sorted({row.seed for row in content.rows})
    lines = [*axes, ("seed", ", ".join(map(str, seeds)))]
    return join(
        [
            tag("h3", "Grid"),
            grid("What the grid varies", ("Varied", "Values"), lines),
            tag("h3", "Data"),
            *_data(content.rows),
        ]
    )


def show_rules(content: Content) -> Html:
    """Return how hyper-parameters were chosen, and every deviation from the paper."""
    select = content.plan.select
    metrics = [select.by, *([select.also] if select.also else [])]
    found = deviations(content.rows)
    return join(
        [
            tag("h3", "Selection of hyper-parameters"),
            items(
                selection_rule(select, by)
                for by in (metrics if select.options else [""])
            ),
            tag("h3", "Deviations from the paper"),
            items(found) if found else tag("p", "None of what is known of the paper."),
            tag("p", CAUTION),
            tag("p", MARKS),
        ]
    )


def _axes(rows: Sequence[RunRecord]) -> list[tuple[str, list[Any]]]:
    """Return the fields that the grid varies, with their values in order."""
    found = []
    for name in run_fields(row.settings for row in rows):
        if name in NOT_SETTINGS:
            continue
        values = distinct(rows, name)
        if name == "method" or (len(values) > 1 and _varies(rows, name)):
            found.append((name, _sorted(values)))
    return found


def _sorted(values: list[Any]) -> list[Any]:
    """Sort numbers before names, which stay as they are."""
    return sorted(values, key=lambda v: v if isinstance(v, int | float) else math.inf)


def _varies(rows: Sequence[RunRecord], name: str) -> bool:
    """Return whether a field differs by more than the methods' own defaults."""
    pairs = {(row.method, repr(row.settings.value(name))) for row in rows}
    methods = {method for method, _ in pairs}
    return name in Cell.model_fields or len(pairs) > len(methods)


def _are_same(rows: Iterable[RunRecord], name: str) -> bool:
    return len({row.settings.value(name) for row in rows}) == 1


def _meaning(name: str) -> str:
    return f"{name} ({OPTIONS[name].meaning})" if name in OPTIONS else name


def _data(rows: Sequence[RunRecord]) -> list[Html]:
    """Return a table with a line for each data set; what all share stands above it."""
    sets = {row.settings.data_identity: row for row in reversed(rows)}
    shared = [n for n in DATA if _are_same(sets.values(), n)]
    told = [n for n in shared if distinct(rows, n)]
    differing = [name for name in DATA if name not in shared]
    lines = [
        (
            *(show(row.settings.value(name)) for name in differing),
            tag("code", str(identity or "unknown")),
        )
        for identity, row in reversed(sets.items())
    ]
    common = "; ".join(f"{name} {show(rows[0].settings.value(name))}" for name in told)
    heads = (*differing, "identity (recipe and decoded sources)")
    return [
        *([tag("p", f"All: {common}.")] if common else []),
        grid("Identities of the data", heads, lines, first="td"),
    ]
