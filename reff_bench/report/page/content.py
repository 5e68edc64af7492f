"""What a page shows of runs and claims, as plain data for its templates."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import compress
from statistics import median
from typing import Any

from reff_bench import __version__
from reff_bench.grid.config import RunConfig, describe_config, run_fields
from reff_bench.grid.marks import OPTIONS
from reff_bench.report.claims.model import FAILS, HOLDS, Claim, Finding
from reff_bench.report.claims.write import CAPTION as CLAIMS_CAPTION
from reff_bench.report.claims.write import found_in_words, numbers_of
from reff_bench.report.options import CAPTION as OPTIONS_CAPTION
from reff_bench.report.options import option_rows
from reff_bench.report.page.tables import main_table, tables_of
from reff_bench.report.settings import NOT_SETTINGS
from reff_bench.report.words import deviations, distinct, selection_rule, show
from reff_bench.results.folder import RunFolder, RunRecord

DATA = (
    *("dataset", "image_size", "digit_size", "bg", "tex", "test_bg", "test_tex"),
    *("digits", "digit_textures", "background_textures", "train", "val", "test"),
)
ROLES = {0.0: "predicts the label", 1.0: "says nothing about it"}


def page_content(folder: RunFolder, claims: Sequence[Claim]) -> dict[str, Any]:
    """Return all but figures and files, by the names that the templates use."""
    plan, rows, runs = folder.plan, folder.records, folder.runs()
    done = [run for run in runs if run.status == "done"]
    words = {run.id: describe_config(run.settings, exact=True) for run in runs}
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
