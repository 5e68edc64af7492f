"""What was run, on what data and machines; what failed and what is missing."""

import json
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from reff_bench.grid import METHOD_OPTIONS, OPTIONS, Cell
from reff_bench.report.page.content import Content
from reff_bench.report.page.html import Html, grid, items, join, tag
from reff_bench.report.page.tables import record_link
from reff_bench.report.settings import NOT_SETTINGS
from reff_bench.report.tables import describe_run
from reff_bench.report.words import deviations, distinct, selection_rule, show
from reff_bench.results import ERROR_NAME, STATUSES, Record

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
GIB = 2**30


def show_overview(content: Content) -> Html:
    """Return what was run: counts, the grid's axes, its data."""
    axes = [
        (_meaning(name), ", ".join(show(value) for value in values))
        for name, values in _axes(content.rows)
    ]
    seeds = sorted({row["seed"] for row in content.rows})
    lines = [*axes, ("seed", ", ".join(map(str, seeds)))]
    return join(
        [
            tag("h3", "Grid"),
            grid("What the grid varies", ("Varied", "Values"), lines),
            tag("h3", "Data"),
            *_data(content.rows),
        ]
    )


def counts_in_words(content: Content) -> str:
    """Return how many runs there are, and how far they are."""
    runs = content.runs()
    counts = Counter(row["status"] for row in runs)
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    shared = len(content.rows) - len(runs)
    note = f" {shared} further cells of the grid share one of them." if shared else ""
    return f"{len(runs)} runs: {', '.join(parts) or 'none'}.{note}"


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


def show_missing(content: Content) -> Html:
    """Return the runs that failed, with their reasons, and those still to come."""
    runs = content.runs()
    failed = [row for row in runs if row["status"] == "failed"]
    late = [row for row in runs if row["status"] in ("begun", "waiting")]
    parts: list[str] = [tag("h3", "Failed")]
    if failed:
        lines = [
            (describe_run(row), str(row.get("reason")), _links(content, row))
            for row in failed
        ]
        parts.append(grid("Failed runs", ("Run", "Reason", "Files"), lines))
    else:
        parts.append(tag("p", "No run failed."))
    parts.append(tag("h3", "Not finished"))
    if late:
        parts.append(items(f"{describe_run(row)}: {row['status']}" for row in late))
    else:
        parts.append(tag("p", "Every other run is done."))
    return join(parts)


def show_environment(content: Content) -> Html:
    """Return where the runs ran, with which versions, and how long."""
    done = [row for row in content.runs() if row["status"] == "done"]
    if not done:
        return tag("p", "No run is done yet.")
    places: dict[str, list[Record]] = {}
    for row in done:
        places.setdefault(json.dumps(_environment(row)), []).append(row)
    heads = ("Runs", "Device", "Arithmetic", "Threads", "Versions", "Hours", "Images/s")
    lines = [
        (str(len(rows)), *json.loads(place), *_speed(rows))
        for place, rows in places.items()
    ]
    peak = max((row.get("peak_memory_bytes") or 0 for row in done), default=0)
    return join(
        [
            grid("Environments", heads, lines, first="td"),
            tag("p", f"Most memory of a run: {peak / GIB:.2f} GiB."),
        ]
    )


def show_files(content: Content) -> Html:
    """Return links to the files beside the page."""
    if not content.files:
        return tag("p", "None.")
    return items(tag("a", name, href=name) for name in content.files)


def _axes(rows: Sequence[Record]) -> list[tuple[str, list[Any]]]:
    """Return the fields that the grid varies, with their values in order."""
    found = []
    for name in Cell.model_fields:
        if name in NOT_SETTINGS:
            continue
        values = distinct(rows, name)
        if name == "method" or (len(values) > 1 and _varies(rows, name)):
            found.append((name, values))
    return found


def _varies(rows: Sequence[Record], name: str) -> bool:
    """Return whether a field differs by more than the methods' own defaults."""
    pairs = {(row["method"], repr(row[name])) for row in rows}
    methods = {method for method, _ in pairs}
    return name not in METHOD_OPTIONS or len(pairs) > len(methods)


def _meaning(name: str) -> str:
    return f"{name} ({OPTIONS[name].meaning})" if name in OPTIONS else name


def _data(rows: Sequence[Record]) -> list[Html]:
    """Return a table with a line for each data set; what all share stands above it."""
    sets = {row["data_identity"]: row for row in reversed(rows)}
    shared = [n for n in DATA if len({repr(row[n]) for row in sets.values()}) == 1]
    told = [n for n in shared if any(row[n] is not None for row in rows)]
    differing = [name for name in DATA if name not in shared]
    lines = [
        (
            *(show(row[name]) for name in differing),
            tag("code", str(identity or "unknown")),
        )
        for identity, row in reversed(sets.items())
    ]
    common = "; ".join(f"{name} {show(rows[0][name])}" for name in told)
    heads = (*differing, "identity (recipe and decoded sources)")
    return [
        *([tag("p", f"All: {common}.")] if common else []),
        grid("Identities of the data", heads, lines, first="td"),
    ]


def _links(content: Content, row: Record) -> Html:
    record = record_link(row)
    trace = f"{record.rpartition('/')[0]}/{ERROR_NAME}"
    links = [tag("a", "record", href=record)]
    if trace in content.traces:
        links += [Html(" "), tag("a", "trace", href=trace)]
    return join(links)


def _environment(row: Record) -> list[str]:
    versions = {"reff-bench": row["package_version"], **(row.get("versions") or {})}
    return [
        f"{row.get('device') or 'unknown'} ({row.get('device_type') or 'unknown'})",
        str(row.get("arithmetic") or "unknown"),
        show(row["threads"]),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def _speed(rows: Sequence[Record]) -> tuple[str, str]:
    seconds = sum(row.get("train_seconds") or 0 for row in rows)
    speeds = [row["images_per_second"] for row in rows if row.get("images_per_second")]
    return f"{seconds / 3600:.2f}", f"{median(speeds):.0f}" if speeds else "--"
