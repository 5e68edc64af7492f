"""What `run --dry-run --cost` prints: the cost of what is left to do."""

from collections.abc import Mapping
from pathlib import Path

import click

from reff_bench.cost.operations import TITLES, Operation, all_operations
from reff_bench.cost.table import (
    StepTimes,
    describe_cost,
    read_step_times,
    write_step_times,
)
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.expand import expand
from reff_bench.grid.model import Grid
from reff_bench.results.plan import Plan
from reff_bench.runner.run import PendingRuns, check_own_methods, plan_grid
from reff_bench.runner.where import find_devices
from texturedmnist.common.cli import FOLDER, echo


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
        help="Of --cost: how many GPUs (on a CPU: runs at once).",
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
    configs = expand(grid)
    try:
        return plan_grid(grid, **places), ""
    except GridError as error:
        plan = Plan(
            name=grid.name,
            select=grid.select,
            tables=grid.tables,
            configs=configs,
        )
        return plan, (
            f"{error}\nplanned without the data, at their official sizes, as if "
            "nothing was done\n"
        )


def cost_of_work(
    work: PendingRuns, device: str, devices: tuple[int, ...], step_times: Path | None
) -> str:
    """Return the cost of what is left to do, in words.

    Raises:
        GridError: the file of step times is of another device and lacks some.
        RunError: some work can't be done on this device.
    """
    times = _find_times(all_operations(work.todo), device, step_times)
    return describe_cost(work.todo, times, devices)


def _find_times(
    wanted: Mapping[Operation, RunConfig], device: str, path: Path | None
) -> StepTimes:
    known = read_step_times(path) if path is not None and path.is_file() else None
    before = known.seconds if known is not None else {}
    missing = {one: config for one, config in wanted.items() if one not in before}
    if not missing and known is not None:
        return known
    # torch, which takes long to import, is needed only to measure.
    from reff_bench.measure import device_name

    where = find_devices(device)[0]
    name = device_name(where)
    if known is not None and known.device != name:
        raise GridError(
            f"{path} lacks the times of {len(missing)} of {len(wanted)} operations "
            f"and is of {known.device}, not of {name}: run the same command there "
            "first, or give a new file"
        )
    seconds = {**before, **_measure(missing, where)}
    times = StepTimes(name, where.partition(":")[0], seconds)
    if path is not None:
        write_step_times(path, times)
    return times


def _measure(
    operations: Mapping[Operation, RunConfig], device: str
) -> dict[Operation, float]:
    from reff_bench.measure import measure

    check_own_methods(tuple(operations.values()))
    seconds = {}
    for number, (one, config) in enumerate(operations.items(), start=1):
        of = f"{number} of {len(operations)}"
        echo(f"measuring {of}: {TITLES[one.kind]}, {config.method}", err=True)
        seconds[one] = measure(one, config, device)
    return seconds
