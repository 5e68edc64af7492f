"""What the command prints, in words; and the ties of a plan's data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reff_bench.grid import Cell, cell_id, cell_recipe, describe_cell
from reff_bench.results import (
    Plan,
    Record,
    cell_folder,
    count_status,
    is_run,
    read_rows,
)
from reff_bench.runner import Work


def describe_counts(
    out: Path, plan: Plan, counts: Mapping[str, int] | None = None
) -> str:
    """Return how many runs are done, failed, begun, waiting.

    Args:
        out: the folder of runs.
        plan: of its runs.
        counts: as of `count_status`, where they are known.
    """
    counts = count_status(out, plan.cells) if counts is None else counts
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    runs = sum(counts.values())
    shared = len(plan.cells) - runs
    note = f" ({shared} further cells share a run)" if shared else ""
    return f"{plan.name} in {out}: {runs} runs{note}: {parts}"


def describe_failures(out: Path, plan: Plan, rows: Sequence[Record]) -> list[str]:
    """Return a line for each failed run, with its reason.

    Args:
        out: the folder of runs.
        plan: of its runs.
        rows: one record per cell, see `read_rows`.
    """
    lines = {}
    for cell, row in zip(plan.cells, rows, strict=True):
        if row["status"] == "failed":
            folder = cell_folder(out, cell)
            said = f"failed: {describe_cell(cell)}: {row['reason']}; see {folder}"
            lines[folder] = said
    return list(lines.values())


def describe_others(out: Path, plan: Plan) -> str:
    """Say how many runs in the folder belong to other grids; empty if none."""
    own = {cell_id(cell) for cell in plan.cells}
    folder = out / "cells"
    found = folder.iterdir() if folder.is_dir() else ()
    there = {path.name for path in found if is_run(path)}
    count = len(there - own)
    return f"{count} runs of other grids in {out} are kept, not shown" if count else ""


def describe_part(work: Work) -> str:
    """Return how far a part of a plan is, and what finishes the whole."""
    counts = count_status(work.out, work.share)
    parts = ", ".join(f"{count} {name}" for name, count in counts.items())
    return (
        f"part {work.part} of {work.out}: {len(work.share)} runs: {parts}; when all "
        "parts are done, the same command without --part writes tables and report"
    )


def describe_work(work: Work, jobs: int) -> str:
    """Return what a run would do, with an estimate where there is one to go by."""
    out, plan = work.out, work.plan
    lines = [describe_counts(out, plan), f"would run {len(work.todo)} now:"]
    lines += [f"  {cell_id(cell)}  {describe_cell(cell)}" for cell in work.todo[:40]]
    if len(work.todo) > 40:
        lines.append(f"  and {len(work.todo) - 40} more")
    images = sum(_passes(cell) for cell in work.todo)
    if images:
        lines.append(f"in all {images / 1e6:.2f} million training images")
    return "\n".join([*lines, _estimate(work, jobs)])


def _estimate(work: Work, jobs: int) -> str:
    done = [
        row
        for row in read_rows(work.out, work.plan.cells)
        if row["status"] == "done" and row["train_seconds"] is not None
    ]
    if not done:
        return "time: unknown until a first run of this grid is done"
    mean = sum(row["train_seconds"] for row in done) / len(done)
    minutes = mean * len(work.todo) / jobs / 60
    return f"time: about {minutes:.0f} min with --jobs {jobs}, as long as those done"


def _passes(cell: Cell) -> int:
    return cell.epochs * (cell.train or 0)


def ties_latex(plan: Plan) -> str | None:
    """Return Tab. 1, the ties, as LaTeX; None for other data than Textured MNIST."""
    # The dataset's command and its sources take a while to import.
    from texturedmnist.describe import latex_ties
    from texturedmnist.manifest import read_manifest
    from texturedmnist.recipe import resolve_ties
    from texturedmnist.sources import list_classes

    cell = next((c for c in plan.cells if c.dataset == "textured_mnist"), None)
    if cell is None:
        return None
    if cell.root is not None:
        return latex_ties(read_manifest(Path(cell.root)))
    recipe = cell_recipe(cell)
    roles = recipe.digit_textures, recipe.background_textures
    return latex_ties(resolve_ties(recipe, *map(list_classes, roles)))
