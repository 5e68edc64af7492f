"""The `evaluate` command."""

import json
from pathlib import Path
from typing import Any

import click

from reff_bench.cli.options import FOLDER, check_device, data_options, join_options
from reff_bench.grid import Cell, describe_cell, expand, load_grid, read_cell
from reff_bench.identity import identify_cells
from reff_bench.results import (
    CELL_NAME,
    PLAN_NAME,
    ResultsError,
    cell_folder,
    read_plan,
    status_of,
)
from reff_bench.runner import add_current_folder, evaluate_step, find_devices


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
    options: dict[str, Any] = {"data_root": data_root, "cache_dir": cache_dir}
    if target.is_file():
        cell = _cell_of(grid_file, options)
        # torch, which only this command needs here, takes long to import.
        from reff_bench.evaluate import evaluate_checkpoint

        where = find_devices(device)[0]
        metrics = evaluate_checkpoint(target, cell, device=where, **options)
        click.echo(json.dumps(metrics, indent=1))
        return
    cells = _finished_cells(target)
    where = find_devices(device)[0]
    for number, (cell, folder) in enumerate(cells, start=1):
        click.echo(f"{number} of {len(cells)}: {describe_cell(cell)}", err=True)
        evaluate_step(cell, folder, device=where, report=lambda _: None, **options)
    click.echo(f"evaluated {len(cells)} cells")


def _cell_of(grid_file: Path | None, options: dict[str, Path | None]) -> Cell:
    if grid_file is None:
        raise click.UsageError(
            "a checkpoint needs --grid GRID.YAML: its first cell says which net and "
            "data it is for"
        )
    return identify_cells(expand(load_grid(grid_file))[:1], **options)[0]


def _finished_cells(target: Path) -> list[tuple[Cell, Path]]:
    """Return the trained cells of a folder of runs, or the one of its own folder."""
    if (target / CELL_NAME).is_file() and not (target / PLAN_NAME).is_file():
        found = {target: read_cell(target / CELL_NAME)}
    else:
        found = {}
        for cell in read_plan(target).cells:
            found.setdefault(cell_folder(target, cell), cell)
    done = [(c, folder) for folder, c in found.items() if status_of(folder) == "done"]
    if not done:
        raise ResultsError(f"{target} holds no finished cell to evaluate")
    return done
