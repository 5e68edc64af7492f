"""How the runs went: what failed, what is missing, where they ran."""

import json
from collections.abc import Sequence
from statistics import median

from reff_bench import __version__
from reff_bench.report.page.content import Content
from reff_bench.report.page.html import Html, grid, items, join, short_or_folded, tag
from reff_bench.report.page.tables import record_link
from reff_bench.report.tables import describe_run
from reff_bench.report.words import show
from reff_bench.results import ERROR_NAME, RunRecord

GIB = 2**30


def show_missing(content: Content) -> Html:
    """Return the runs that failed, with their reasons, and those still to come."""
    runs = content.runs()
    failed = [row for row in runs if row.status == "failed"]
    late = [row for row in runs if row.status in ("incomplete", "pending")]
    parts: list[str] = [tag("h3", "Failed")]
    if failed:
        told = [
            (describe_run(row), str(row.reason), _links(content, row)) for row in failed
        ]
        parts.append(grid("Failed runs", ("Run", "Reason", "Files"), told))
    else:
        parts.append(tag("p", "No run failed."))
    parts.append(tag("h3", "Not finished"))
    if late:
        lines = [f"{describe_run(row)}: {row.status}" for row in late]
        parts.append(short_or_folded(f"{len(lines)} runs", lines))
    else:
        parts.append(tag("p", "Every other run is done."))
    return join(parts)


def show_environment(content: Content) -> Html:
    """Return where the runs ran, with which versions, and how long."""
    done = [row for row in content.runs() if row.status == "done"]
    if not done:
        return tag("p", "No run is done yet.")
    places: dict[str, list[RunRecord]] = {}
    for row in done:
        places.setdefault(json.dumps(_environment(row)), []).append(row)
    heads = ("Runs", "Device", "Arithmetic", "Threads", "Versions", "Hours", "Images/s")
    lines = [
        (str(len(rows)), *json.loads(place), *_speed(rows))
        for place, rows in places.items()
    ]
    peak = max((row.metrics.get("peak_memory_bytes") or 0 for row in done), default=0)
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


def _links(content: Content, row: RunRecord) -> Html:
    record = record_link(row)
    trace = f"{record.rpartition('/')[0]}/{ERROR_NAME}"
    links = [tag("a", "record", href=record)]
    if trace in content.traces:
        links += [Html(" "), tag("a", "trace", href=trace)]
    return join(links)


def _environment(row: RunRecord) -> list[str]:
    known = {"package_version": __version__, **row.environment}
    versions = {"reff-bench": known["package_version"], **known.get("versions", {})}
    return [
        f"{known.get('device', 'unknown')} ({known.get('device_type', 'unknown')})",
        str(known.get("arithmetic", "unknown")),
        show(row.settings.threads),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]


def _speed(rows: Sequence[RunRecord]) -> tuple[str, str]:
    seconds = sum(row.metrics.get("train_seconds") or 0 for row in rows)
    found = (row.metrics.get("images_per_second") for row in rows)
    speeds = [speed for speed in found if speed]
    return f"{seconds / 3600:.2f}", f"{median(speeds):.0f}" if speeds else "--"
