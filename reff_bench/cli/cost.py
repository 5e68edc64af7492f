"""What `run --dry-run --cost` prints: the cost of what is left to do."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from reff_bench.cost import (
    Kind,
    Pace,
    Paces,
    describe_cost,
    find_recorded,
    read_paces,
    work_of,
    write_paces,
)
from reff_bench.grid import RECORD_VERSION, Cell, Grid, GridError, expand
from reff_bench.results import Plan
from reff_bench.runner import Work, check_own_methods, find_devices, plan_grid
from texturedmnist.common.cli import FOLDER
from texturedmnist.common.console import say


def _read_counts(
    ctx: click.Context, param: click.Parameter, value: str
) -> tuple[int, ...]:
    """Return whole numbers from 1 that stand between commas."""
    words = value.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise click.BadParameter(f"{value!r}: give whole numbers from 1, as in 1,8,64")
    return tuple(int(word) for word in words)


cost_options = (
    click.option(
        "--cost",
        is_flag=True,
        help="With --dry-run: measure the steps here; print hours by work and devices.",
    ),
    click.option(
        "--devices",
        callback=_read_counts,
        default="1,8,64",
        show_default=True,
        metavar="N,N,...",
        help="Of --cost: how many GPUs (on a CPU: cells at once).",
    ),
    click.option(
        "--step-times",
        type=FOLDER,
        metavar="FILE",
        help="Of --cost: take what is measured there; measure and add what isn't.",
    ),
)


def plan_anyway(grid: Grid, **places: Path | None) -> tuple[Plan, str]:
    """Return a grid's plan, and why it is one for data that aren't here, if it is.

    Raises:
        GridError: the grid itself can't be.
    """
    cells = expand(grid)
    try:
        return plan_grid(grid, **places), ""
    except GridError as error:
        plan = Plan(
            record_version=RECORD_VERSION,
            name=grid.name,
            select=grid.select,
            tables=grid.tables,
            cells=cells,
        )
        return plan, (
            f"{error}\nplanned without the data, at their official sizes, as if "
            "nothing was done\n"
        )


def cost_of_work(
    work: Work, device: str, devices: tuple[int, ...], step_times: Path | None
) -> str:
    """Return the cost of what is left to do, in words.

    Raises:
        GridError: the file of step times is of another device and lacks some.
        CellError: some work can't be done on this device.
    """
    paces = _find_paces(work_of(work.todo), device, step_times)
    recorded = find_recorded(work.runs.records, paces.device)
    known = replace(paces, by_kind={**paces.by_kind, **recorded})
    return describe_cost(work.todo, known, devices)


def _find_paces(wanted: Mapping[Kind, Cell], device: str, path: Path | None) -> Paces:
    known = read_paces(path) if path is not None and path.is_file() else None
    missing = {
        kind: cell
        for kind, cell in wanted.items()
        if known is None or kind not in known.by_kind
    }
    if not missing and known is not None:
        return known
    # torch, which takes long to import, is needed only to measure.
    from reff_bench.measure import device_name

    where = find_devices(device)[0]
    name = device_name(where)
    if known is not None and known.device != name:
        raise GridError(
            f"{path} lacks the times of {len(missing)} of {len(wanted)} kinds of work "
            f"and is of {known.device}, not of {name}: run the same command there "
            "first, or give a new file"
        )
    measured = _measure(missing, where)
    before = known.by_kind if known is not None else {}
    paces = Paces(name, where.partition(":")[0], {**before, **measured})
    if path is not None:
        write_paces(path, paces)
    return paces


def _measure(kinds: Mapping[Kind, Cell], device: str) -> dict[Kind, Pace]:
    from reff_bench.measure import measure

    check_own_methods(tuple(kinds.values()))
    paces = {}
    for number, (kind, cell) in enumerate(kinds.items(), start=1):
        say(f"measuring {number} of {len(kinds)}: {kind.what}, {cell.method}", err=True)
        paces[kind] = measure(kind, cell, device)
    return paces
