"""The tables of a page, each number with links to the records behind it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from reff_bench.grid import TableSpec
from reff_bench.report.page.content import Content
from reff_bench.report.page.html import Html, fold, join, scroll, short_or_folded, tag
from reff_bench.report.render import is_best, show_number
from reff_bench.report.settings import values_of
from reff_bench.report.statistics import wilson
from reff_bench.report.tables import Entry, Panel, Table, build_table
from reff_bench.report.words import SHORTFALL, TITLES, caption, is_share, show
from reff_bench.results import RECORD_NAME, RunRecord

HEADING = {"tab2": "Tab. 2", "tab3": "Tab. 3"}
NOTE = (
    "Small numbers: the seeds, each a link to its record; in brackets the 95 % Wilson "
    "interval of a single run."
)
# Shown beside a table of test accuracies, where the records have them.
BESIDE = (
    *("worst_group_accuracy", "background_gap", "flip_rate"),
    *("epg", "pointing_game", "annotator_iou"),
)


def show_tables(content: Content) -> Html:
    """Return every table of the grid, and what else is known of the same runs."""
    return join(_table(content, spec) for spec in content.plan.tables)


def show_main_table(content: Content) -> Iterator[Html]:
    """Yield the grid's first table in its first setting, for a glance."""
    if content.plan.tables:
        spec = content.plan.tables[0]
        table = build_table(spec, content.plan, content.rows)
        for panel in table.panels[:1]:
            yield _one_table(spec, [panel])
            most = max((one.n for one in panel.entries.values()), default=0)
            over = f"Means over up to {most} seeds ± standard deviation"
            yield tag(
                "p",
                f"{over if most > 1 else 'One seed'}; best in bold. ",
                tag("a", "All tables", href="#tables"),
                class_="caption",
            )


def _table(content: Content, spec: TableSpec) -> Html:
    table = build_table(spec, content.plan, content.rows)
    heading = HEADING.get(spec.name, spec.name)
    parts: list[str] = [tag("h3", heading)]
    if not table.panels:
        parts.append(tag("p", "No cell of the grid belongs to this table."))
    parts += _with_captions(content, table)
    missing = table.missing()
    if missing:
        parts.append(short_or_folded(f"{len(missing)} runs missing", missing))
    if spec.value == "test_accuracy":
        parts += _beside(content, spec, heading)
    return tag("section", *parts, id=f"table-{spec.name}")


def _beside(content: Content, spec: TableSpec, heading: str) -> Iterator[Html]:
    for value in BESIDE:
        if any(value in row.metrics for row in content.rows):
            other = spec.model_copy(update={"value": value})
            table = build_table(other, content.plan, content.rows)
            if any(_has_numbers(panel) for panel in table.panels):
                title = f"{heading}, other values: {TITLES.get(value, value)}"
                yield fold(title, *_with_captions(content, table))


def _has_numbers(panel: Panel) -> bool:
    return any(entry.n for entry in panel.entries.values())


def _with_captions(content: Content, table: Table) -> Iterator[Html]:
    """Yield a table for each setting; its selections stand beside each other."""
    settings: dict[str, list[Panel]] = {}
    for panel in table.panels:
        settings.setdefault(json.dumps(panel.setting), []).append(panel)
    for panels in settings.values():
        yield _one_table(table.spec, panels)
        words = caption(table, content.plan.select, panels[0])
        words = words.replace("$\\pm$", "±").replace(SHORTFALL, "")
        if len(panels) > 1:
            words += f" Further columns: the same, selected by {panels[1].selection}."
        yield tag("p", f"{words} {NOTE}", class_="caption")


def _one_table(spec: TableSpec, panels: Sequence[Panel]) -> Html:
    title = TITLES.get(spec.value, spec.value) + (", %" if is_share(spec.value) else "")
    rows = list(dict.fromkeys(row for panel in panels for row in panel.rows))
    lines = [
        tag(
            "tr",
            tag("th", show(row), scope="row"),
            *(
                _entry(panel, row, column, spec.value, runs)
                for panel, runs in zip(panels, places, strict=True)
                for column in panel.columns
            ),
        )
        for places in [[_places(panel, spec) for panel in panels]]
        for row in rows
    ]
    setting = ", ".join(f"{k} = {show(v)}" for k, v in panels[0].setting.items())
    label = f"{spec.name}: {title}{'; ' if setting else ''}{setting}"
    named = tag("caption", f"{title}{'; ' if setting else ''}{setting}")
    return scroll(label, named, _head(spec, panels), tag("tbody", *lines), kind="table")


def _head(spec: TableSpec, panels: Sequence[Panel]) -> Html:
    lines = []
    if len(panels) > 1:
        groups = (
            tag(
                "th",
                f"selected by {panel.selection}",
                colspan=len(panel.columns),
                scope="colgroup",
                class_="group",
            )
            for panel in panels
        )
        lines.append(tag("tr", tag("td"), *groups))
    columns = [show(column) for panel in panels for column in panel.columns]
    heads = (tag("th", head, scope="col") for head in (spec.rows, *columns))
    return tag("thead", *lines, tag("tr", *heads))


def _places(panel: Panel, spec: TableSpec) -> dict[str, list[RunRecord]]:
    """Return the runs at each place of a panel, each once."""
    places: dict[str, dict[str, RunRecord]] = {}
    for row in panel.cells:
        place = _place(*values_of(row, (spec.rows, spec.columns)))
        places.setdefault(place, {})[row.id] = row
    return {place: list(runs.values()) for place, runs in places.items()}


def _place(row: Any, column: Any) -> str:  # noqa: ANN401 (values of any fields)
    return json.dumps([row, column])


def _entry(
    panel: Panel,
    row: Any,  # noqa: ANN401
    column: Any,  # noqa: ANN401
    value: str,
    places: dict[str, list[RunRecord]],
) -> Html:
    entry = panel.entries.get((row, column))
    if entry is None:
        return tag("td", "--", class_="none")
    runs = places[_place(row, column)]
    links = tag("span", *_links(runs), class_="seeds")
    if entry.mean is None:
        return tag("td", "--", links, class_="none")
    kind = "strong" if is_best(entry, panel, row, value) else "span"
    spread = "" if entry.std is None else f" ± {show_number(entry.std, value)}"
    number = tag(kind, show_number(entry.mean, value))
    notes = (tag("span", note, class_="note") for note in _notes(entry, runs, value))
    return tag("td", number, spread, *notes, links)


def _notes(entry: Entry, runs: Sequence[RunRecord], value: str) -> Iterator[str]:
    """Yield a single run's Wilson interval, and over how few runs a mean is."""
    alone = next(run for run in runs if value in run.metrics)
    samples = alone.metrics.get("test_samples")
    if value == "test_accuracy" and entry.n == 1 and samples is not None:
        within = wilson(alone.metrics[value], samples)
        ends = (show_number(end, value) for end in (within.low, within.high))
        yield f"[{', '.join(ends)}]"
    if entry.n != entry.planned:
        yield f"{entry.n} of {entry.planned} seeds"


def _links(runs: Sequence[RunRecord]) -> Iterator[Html]:
    """Yield the seeds of runs, linked to their records where there are any."""
    for row in sorted(runs, key=lambda row: int(row.seed)):
        words = f"seed {row.seed}, {row.status}"
        kind = None if row.status == "done" else row.status
        attributes = {"title": words, "aria_label": words, "class_": kind}
        if row.status in ("done", "failed"):
            yield tag("a", str(row.seed), href=record_link(row), **attributes)
        else:
            yield tag("span", str(row.seed), role="img", **attributes)


def record_link(row: RunRecord) -> str:
    """Return the place of a run's record, relative to the page."""
    return f"cells/{row.id}/{RECORD_NAME}"
