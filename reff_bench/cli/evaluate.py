"""The `evaluate` command."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from reff_bench.cli.moved import find_data
from reff_bench.cli.options import check_device, data_options
from reff_bench.grid import (
    Cell,
    GridError,
    describe_cell,
    expand,
    load_grid,
    read_cell,
)
from reff_bench.identity import identify_cells
from reff_bench.results import (
    CELL_NAME,
    PLAN_NAME,
    CellError,
    Fields,
    ResultsError,
    cell_folder,
    read_plan,
    status_of,
)
from reff_bench.runner import (
    add_current_folder,
    check_own_methods,
    evaluate_step,
    find_devices,
)
from texturedmnist.common.cli import FOLDER, join_options
from texturedmnist.common.console import say

PACKAGES = ("reff_bench", "texturedmnist")


@click.command()
@click.argument("target", metavar="OUT|CELL|CHECKPOINT", type=FOLDER)
@click.option("--grid", "grid_file", type=FOLDER, help="Of a checkpoint of your own.")
@join_options(*data_options)
def evaluate(
    target: Path,
    grid_file: Path | None,
    data_root: Path | None,
    cache_dir: Path | None,
    device: str,
) -> None:
    """Compute metrics anew from weights, for finished runs or one of your own.

    OUT: every finished cell of a folder of runs. CELL: one cell's folder. CHECKPOINT: a
    file of weights; the first cell of --grid says which net and data they are for.
    """
    check_device(device)
    add_current_folder()
    if target.is_file():
        options = {"data_root": data_root, "cache_dir": cache_dir}
        metrics = _evaluate_file(target, _cell_of(grid_file, options), device, options)
        say(json.dumps(metrics, indent=1))
        return
    runs, options = _finished_runs(target, data_root, cache_dir)
    check_own_methods(tuple(cell for cell, _ in runs))
    where = find_devices(device)[0]
    for number, (cell, folder) in enumerate(runs, start=1):
        say(f"{number} of {len(runs)}: {describe_cell(cell)}", err=True)
        with _mistakes_told():
            evaluate_step(cell, folder, device=where, report=lambda _: None, **options)
    say(f"evaluated {len(runs)} cells")


def _evaluate_file(
    path: Path, cell: Cell, device: str, options: dict[str, Path | None]
) -> Fields:
    check_own_methods((cell,))
    # torch, which only this command needs here, takes long to import.
    from reff_bench.evaluate import evaluate_checkpoint

    try:
        with _mistakes_told():
            where = find_devices(device)[0]
            return evaluate_checkpoint(path, cell, device=where, **options)
    except CellError as error:  # of the file that was given, not of work that failed
        raise click.UsageError(str(error)) from None


@contextmanager
def _mistakes_told() -> Iterator[None]:
    """Turn what data, models and methods refuse into one line."""
    try:
        yield
    except (CellError, GridError, OSError):
        raise
    except ValueError as error:
        if type(error).__module__.split(".")[0] not in PACKAGES:
            raise
        raise click.UsageError(str(error)) from None


def _cell_of(grid_file: Path | None, options: dict[str, Path | None]) -> Cell:
    if grid_file is None:
        raise click.UsageError(
            "a checkpoint needs --grid GRID.YAML: its first cell says which net and "
            "data it is for"
        )
    return identify_cells(expand(load_grid(grid_file))[:1], **options)[0]


def _finished_runs(
    target: Path, data_root: Path | None, cache_dir: Path | None
) -> tuple[list[tuple[Cell, Path]], dict[str, Any]]:
    """Return the trained cells of a folder of runs, or the one of its own folder.

    Returns:
        The cells with their folders, and how to evaluate them: where their data and
        cache are (where the flags say, else where they were when the runs were made),
        and the metrics of the user's own.
    """
    if (target / CELL_NAME).is_file() and not (target / PLAN_NAME).is_file():
        target = target.absolute()
        cells, folders = [_read_cell(target / CELL_NAME)], [target]
        above = target.parents[1]
        plan = read_plan(above) if (above / PLAN_NAME).is_file() else None
    else:
        plan = read_plan(target)
        by_folder = {cell_folder(target, cell): cell for cell in reversed(plan.cells)}
        cells, folders = [*by_folder.values()], [*by_folder]
    done = [n for n, folder in enumerate(folders) if status_of(folder) == "done"]
    if not done:
        raise ResultsError(f"{target} holds no finished cell to evaluate")
    moved = find_data([cells[n] for n in reversed(done)], data_root)
    there = [folders[n] for n in reversed(done)]
    if plan is not None and plan.data_root is not None:
        data_root = data_root or Path(plan.data_root)
    if plan is not None and plan.cache_dir is not None:
        cache_dir = cache_dir or Path(plan.cache_dir)
    options: dict[str, Any] = {"data_root": data_root, "cache_dir": cache_dir}
    if plan is not None and plan.metrics:
        options["metrics"] = plan.metrics
    return list(zip(moved, there, strict=True)), options


def _read_cell(path: Path) -> Cell:
    try:
        return read_cell(path)
    except ValueError as error:  # pydantic's, and of text that isn't UTF-8
        reason = str(error).splitlines()[0]
        raise ResultsError(
            f"{path} is no cell of a run ({reason}); give the folder of runs"
        ) from None
