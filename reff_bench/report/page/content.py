"""What a page shows of runs and claims, as plain data for its templates."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import compress
from statistics import median
from typing import Any, TypeAlias

from reff_bench import __version__
from reff_bench.grid.config import RunConfig, describe_configs, run_fields
from reff_bench.grid.marks import OPTIONS
from reff_bench.grid.model import TableSpec
from reff_bench.report.claims.evidence import FAILS, HOLDS, Claim, Finding
from reff_bench.report.claims.write import CAPTION as CLAIMS_CAPTION
from reff_bench.report.claims.write import found_in_words, numbers_of
from reff_bench.report.options import CAPTION as OPTIONS_CAPTION
from reff_bench.report.options import option_rows
from reff_bench.report.render import is_best, show_number
from reff_bench.report.settings import NOT_SETTINGS, values_of
from reff_bench.report.statistics import wilson
from reff_bench.report.tables import Entry, Panel, build_table
from reff_bench.report.words import (
    caption,
    describe_setting,
    deviations,
    distinct,
    is_share,
    selection_rule,
    show,
    title_of,
)
from reff_bench.results.folder import RunFolder, RunRecord

DATA = (
    *("dataset", "image_size", "digit_size", "bg", "tex", "test_bg", "test_tex"),
    *("digits", "digit_textures", "background_textures", "train", "val", "test"),
)
ROLES = {0.0: "predicts the label", 1.0: "says nothing about it"}
Data: TypeAlias = dict[str, Any]  # for a template
Runs: TypeAlias = dict[tuple[Any, ...], list[RunRecord]]  # by row and column
HEADING = {"tab2": "Tab. 2", "tab3": "Tab. 3"}
# Shown beside a table of test accuracies, where the records have them.
BESIDE = (
    *("worst_group_accuracy", "background_gap", "flip_rate"),
    *("epg", "pointing_game", "annotator_iou"),
)


def page_content(folder: RunFolder, claims: Sequence[Claim]) -> dict[str, Any]:
    """Return all but figures and files, by the names that the templates use."""
    plan, rows, runs = folder.plan, folder.records, folder.runs()
    done = [run for run in runs if run.status == "done"]
    described = describe_configs([run.settings for run in runs], exact=True)
    words = dict(zip((run.id for run in runs), described, strict=True))
    select = plan.select
    metrics = [select.by, *([select.also] if select.also else [])]
    return {
        "name": plan.name,
        "number": len(runs),
        "counts": [f"{n} {status}" for status, n in folder.counts().items() if n],
        "shared": len(rows) - len(runs),
        "shift": _shift(rows),
        "main_table": main_table(folder),
        "tables": list(tables_of(folder)),
        "claims": [_claim(claim, plan.name) for claim in claims],
        "claims_caption": CLAIMS_CAPTION,
        "axes": list(_axes(rows)),
        "data": _data(rows),
        "rules": [
            selection_rule(select, by) for by in (metrics if select.options else [""])
        ],
        "deviations": deviations(rows),
        "failed": [(words[run.id], run) for run in runs if run.status == "failed"],
        "late": [
            f"{words[run.id]}: {run.status}"
            for run in runs
            if run.status in ("incomplete", "pending")
        ],
        "options": option_rows(plan),
        "options_caption": OPTIONS_CAPTION,
        "environments": _environments(done),
        "peak": max(
            (run.metrics.get("peak_memory_bytes", 0) for run in done), default=0
        ),
    }


def _shift(rows: Sequence[RunRecord]) -> list[str]:
    """Return what the background says in training and in the test, if they differ."""
    shifted = [r for r in rows if r.settings.bg is not None and r.settings.bg < 1]
    bg, test = distinct(shifted, "bg"), distinct(shifted, "test_bg")
    if len(bg) != 1 or len(test) != 1 or bg == test:
        return []
    return [ROLES.get(one, f"is drawn at random in {one:.0%}") for one in (*bg, *test)]


def _claim(claim: Claim, grid: str) -> dict[str, Any]:
    return {
        **asdict(claim),
        "verdict": claim.verdict,
        "is_open": claim.verdict not in (HOLDS, FAILS),
        "findings": [_finding(finding, grid) for finding in claim.findings],
    }


def _finding(finding: Finding, grid: str) -> dict[str, Any]:
    """Return a finding, columns without content left out; another grid's says so."""
    heads = ("Quantity", "Value [interval]", "p", "Seeds", "Passes")
    lines = [(one.name, *numbers_of(one)) for one in finding.quantities]
    used = [any(column) for column in zip(*lines, strict=True)]
    source = "" if finding.grid == grid else f"{finding.grid}: "
    return {
        "words": f"{source}{found_in_words(finding)}",
        "verdict": finding.verdict,
        "heads": list(compress(heads, used)),
        "lines": [list(compress(line, used)) for line in lines],
        "missing": finding.missing,
    }


def _axes(rows: Sequence[RunRecord]) -> Iterator[tuple[str, str]]:
    """Yield what the grid varies, with its values in order."""
    for name in run_fields(row.settings for row in rows):
        values = distinct(rows, name)
        varies = name not in NOT_SETTINGS and len(values) > 1 and _varies(rows, name)
        if varies or name in ("method", "seed"):
            # Numbers before names, which stay as they are.
            values.sort(key=lambda v: v if isinstance(v, int | float) else math.inf)
            meaning = f" ({OPTIONS[name].meaning})" if name in OPTIONS else ""
            yield f"{name}{meaning}", ", ".join(map(show, values))


def _varies(rows: Sequence[RunRecord], name: str) -> bool:
    """Return whether a field differs by more than the methods' own defaults."""
    pairs = {(row.method, row.settings.value(name)) for row in rows}
    methods = {method for method, _ in pairs}
    return name in RunConfig.model_fields or len(pairs) > len(methods)


def _data(rows: Sequence[RunRecord]) -> dict[str, Any]:
    """Return the fields that all datasets share, and the others of each dataset."""
    sets = {row.settings.data_identity: row.settings for row in reversed(rows)}
    shared = [n for n in DATA if len({one.value(n) for one in sets.values()}) == 1]
    differing = [name for name in DATA if name not in shared]
    return {
        "common": [
            f"{name} {show(rows[0].settings.value(name))}"
            for name in shared
            if distinct(rows, name)
        ],
        "differing": differing,
        "sets": [
            ([show(one.value(name)) for name in differing], identity or "unknown")
            for identity, one in reversed(sets.items())
        ],
    }


def _environments(done: Sequence[RunRecord]) -> list[tuple[str, ...]]:
    """Return how many runs ran where, with which versions, how long and how fast."""
    found: dict[tuple[str, ...], list[RunRecord]] = {}
    for row in done:
        found.setdefault(_environment(row), []).append(row)
    return [(str(len(rows)), *where, *_speed(rows)) for where, rows in found.items()]


def _environment(row: RunRecord) -> tuple[str, ...]:
    known = {"package_version": __version__, **row.environment}
    versions = {"reff-bench": known["package_version"], **known.get("versions", {})}
    return (
        f"{known.get('device', 'unknown')} ({known.get('device_type', 'unknown')})",
        str(known.get("arithmetic", "unknown")),
        show(row.settings.threads),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    )


def _speed(rows: Sequence[RunRecord]) -> tuple[str, str]:
    seconds = sum(row.metrics.get("train_seconds", 0) for row in rows)
    found = (row.metrics.get("images_per_second") for row in rows)
    speeds = [speed for speed in found if speed]
    return f"{seconds / 3600:.2f}", f"{median(speeds):.0f}" if speeds else "--"


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
