"""What the command prints, in words; and the texture assignment of a plan's data."""

from collections.abc import Mapping
from pathlib import Path

from reff_bench.grid.config import RunConfig, config_id, describe_configs
from reff_bench.grid.expand import recipe_of
from reff_bench.results.folder import RunFolder
from reff_bench.results.plan import Plan
from reff_bench.results.run import is_run
from reff_bench.runner.run import PendingRuns
from texturedmnist.common.executors import Part


def describe_counts(runs: RunFolder) -> str:
    """Return how many runs are done, failed, incomplete, pending."""
    counts = runs.counts()
    count = sum(counts.values())
    shared = len(runs.records) - count
    note = f" ({shared} further runs share a run)" if shared else ""
    return f"{runs.plan.name} in {runs.out}: {count} runs{note}: {_listed(counts)}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def describe_failures(runs: RunFolder) -> list[str]:
    """Return a line for each failed run, with its reason."""
    every = runs.runs()
    words = describe_configs([run.settings for run in every])
    return [
        f"failed: {text}: {run.reason}; see {runs.out / 'cells' / run.id}"
        for text, run in zip(words, every, strict=True)
        if run.status == "failed"
    ]


def describe_others(runs: RunFolder) -> str:
    """Say how many runs in the folder belong to other grids; empty if none."""
    folder = runs.out / "cells"
    found = folder.iterdir() if folder.is_dir() else ()
    there = {path.name for path in found if is_run(path)}
    count = len(there - {record.id for record in runs.records})
    where = f"in {runs.out} are kept, not shown"
    return f"{count} runs of other grids {where}" if count else ""


def describe_part(part: Part, runs: RunFolder) -> str:
    """Return how far a part of a plan is, and what finishes the whole."""
    return (
        f"part {part} of {runs.out}: {len(runs.records)} runs: "
        f"{_listed(runs.counts())}; when all parts are done, the same command without "
        "--part writes tables and report"
    )


def describe_work(work: PendingRuns, jobs: int) -> str:
    """Return what a run would do, with an estimate where there is one to go by."""
    lines = [describe_counts(work.runs), f"would run {len(work.todo)} now:"]
    words = describe_configs(work.todo)
    shown = zip(work.todo[:40], words, strict=False)
    lines += [f"  {config_id(config)}  {text}" for config, text in shown]
    if len(work.todo) > 40:
        lines.append(f"  and {len(work.todo) - 40} more")
    images = sum(_passes(config) for config in work.todo)
    if images:
        lines.append(f"in all {images / 1e6:.2f} million training images")
    return "\n".join([*lines, _estimate(work, jobs)])


def _estimate(work: PendingRuns, jobs: int) -> str:
    found = (run.metrics.get("train_seconds") for run in work.runs.records)
    done = [seconds for seconds in found if seconds is not None]
    if not done:
        return "time: unknown until a first run of this grid is done"
    mean = sum(done) / len(done)
    minutes = mean * len(work.todo) / jobs / 60
    return f"time: about {minutes:.0f} min with --jobs {jobs}, as long as those done"


def _passes(config: RunConfig) -> int:
    return config.all_epochs * (config.train or 0)


def assignment_latex(plan: Plan) -> str | None:
    """Return Tab. 1, the assignment, as LaTeX; None if not of Textured MNIST."""
    # The dataset's command and its sources take a while to import.
    from texturedmnist.describe import latex_assignment
    from texturedmnist.manifest import read_manifest
    from texturedmnist.recipe import resolve_assignment
    from texturedmnist.sources import list_classes

    config = next((c for c in plan.configs if c.dataset == "textured_mnist"), None)
    if config is None:
        return None
    if config.root is not None:
        return latex_assignment(read_manifest(Path(config.root)))
    recipe = recipe_of(config)
    roles = recipe.digit_textures, recipe.background_textures
    return latex_assignment(resolve_assignment(recipe, *map(list_classes, roles)))
