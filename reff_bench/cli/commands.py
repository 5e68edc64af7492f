"""The `reff-bench` command: parse, call one function, print."""

import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from reff_bench.cli.cost import cost_of_work, cost_options, plan_anyway
from reff_bench.cli.evaluate import evaluate
from reff_bench.cli.group import main
from reff_bench.cli.list import list_names
from reff_bench.cli.options import (
    check_device,
    data_options,
    place_options,
    train_options,
)
from reff_bench.cli.report import (
    claims,
    collect,
    drawing,
    figures,
    page_is_due,
    report,
    write_page,
)
from reff_bench.cli.show import (
    assignment_latex,
    describe_counts,
    describe_failures,
    describe_others,
    describe_part,
    describe_work,
)
from reff_bench.grid.config import GridError
from reff_bench.grid.load import load_grid
from reff_bench.grid.model import TableSpec
from reff_bench.grid.sections import check_pivot
from reff_bench.identity.configs import find_data
from reff_bench.results.collected import read_records, restore
from reff_bench.results.folder import RunFolder, find_runs, open_runs
from reff_bench.results.plan import read_plan
from reff_bench.runner.run import (
    PendingRuns,
    add_current_folder,
    check_networks,
    check_own_methods,
    find_work,
    plan_grid,
    run_work,
)
from reff_bench.runner.where import RunOptions, default_jobs, open_resources
from reff_bench.runner.work import RunFunction, RunWork, run_evaluation, run_training
from texturedmnist.common.cli import FOLDER, echo, join_options
from texturedmnist.common.executors import Part, check_executor
from texturedmnist.sources import default_data_root


@main.command()
@click.argument("grid_file", metavar="GRID.YAML", type=FOLDER)
@click.option("--out", type=FOLDER, help="[default: runs/<name of the grid>]")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value of the grid: epochs=2, data.train=500, seed=[0,1].",
)
@join_options(*data_options, *place_options, *train_options)
@click.option(
    "--records",
    type=FOLDER,
    help="Count the runs of a file of records as done: RECORDS.jsonl.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be run; write nothing.")
@join_options(*cost_options)
def run(
    grid_file: Path,
    out: Path | None,
    overrides: tuple[str, ...],
    data_root: Path | None,
    cache_dir: Path | None,
    tensorboard: bool,
    other_device: bool,
    records: Path | None,
    dry_run: bool,
    part: str | None,
    cost: bool,
    devices: tuple[int, ...],
    step_times: Path | None,
    **options: Any,
) -> None:
    """Train and evaluate every run of a grid, or finish one that is incomplete.

    Finished runs aren't run again; another grid's runs in the same folder are used
    where they are the same runs, and left alone otherwise.
    """
    asked, share = _check_options(options), _parse_part(part)
    grid = load_grid(grid_file, overrides)
    places = {"data_root": data_root, "cache_dir": cache_dir}
    out = Path("runs") / grid.name if out is None else out
    if cost:
        if not dry_run:
            raise GridError("--cost runs nothing: give --dry-run with it")
        plan, note = plan_anyway(grid, **places)
        work = find_work(plan, out, part=share)
        echo(f"{note}{describe_counts(work.runs)}")
        echo(cost_of_work(work, asked.device, devices, step_times))
        return
    plan = plan_grid(grid, **places)
    found = None if records is None else read_records(records)
    work = find_work(plan, out, part=share, known=found.runs if found else ())
    check_networks(work.todo, download=not dry_run)
    if dry_run:
        echo(describe_work(work, asked.jobs or default_jobs(plan, ("cpu",))))
        return
    how = _train_step(tensorboard=tensorboard, other_device=other_device)
    if found is not None:
        taken = restore(found, out, plan.configs)
        echo(f"{taken} runs taken from {records}", err=True)
        work = find_work(plan, out, part=share)
    _run(work, how, asked)


@main.command()
@click.argument("out", metavar="OUT", type=FOLDER)
@join_options(*data_options, *place_options, *train_options)
def retry(
    out: Path,
    data_root: Path | None,
    cache_dir: Path | None,
    tensorboard: bool,
    other_device: bool,
    part: str | None,
    **options: Any,
) -> None:
    """Try the failed runs of a folder again, and do what is left."""
    asked, share = _check_options(options), _parse_part(part)
    places = {
        name: str(path.resolve())
        for name, path in (("data_root", data_root), ("cache_dir", cache_dir))
        if path is not None
    }
    plan = read_plan(out)
    configs = find_data(plan.configs, data_root)
    plan = plan.model_copy(update={**places, "configs": configs})
    how = _train_step(tensorboard=tensorboard, other_device=other_device)
    work = find_work(plan, out, retry=True, part=share)
    check_networks(work.todo)
    _run(work, how, asked)


def _check_options(options: dict[str, Any]) -> RunOptions:
    """Return where to run, once it is known that it can be done."""
    asked = RunOptions(**options)
    check_device(asked.device)
    check_executor(asked.executor, asked.address)
    add_current_folder()
    return asked


def _parse_part(part: str | None) -> Part | None:
    return None if part is None else Part.parse(part)


def _train_step(*, tensorboard: bool, other_device: bool) -> RunFunction:
    """Return how a run is trained, once it is known that the flags can be met."""
    if tensorboard and find_spec("tensorboard") is None:
        raise GridError(
            "--tensorboard needs the package tensorboard: pip install tensorboard"
        )
    return partial(run_training, tensorboard=tensorboard, other_device=other_device)


def _run(work: PendingRuns, train: RunFunction, asked: RunOptions) -> None:
    """Run what is left, show it, write the page; exit code 1 if a run isn't done."""
    check_own_methods(work.todo)
    runs = _run_configs(work, train, asked)
    if work.part is not None:
        echo(describe_part(work.part, runs))
    else:
        with drawing(runs.out):
            _print_tables(runs)
            if page_is_due(runs):
                echo(f"report: {write_page(runs)}")
    if not runs.are_done:
        raise click.ClickException(
            f"some runs failed; 'reff-bench retry {runs.out}' tries them again"
        )


def _run_configs(work: PendingRuns, train: RunFunction, asked: RunOptions) -> RunFolder:
    """Run what is left; return the runs as they are now."""
    plan = work.plan
    with open_resources(plan, asked, len(work.todo)) as resources:
        counts = f"{describe_counts(work.runs)}; " if work.todo else ""
        echo(f"{counts}{resources.words}", err=True)
        run_steps = RunWork(
            out=work.out,
            train=train,
            evaluate=run_evaluation,
            metrics=work.plan.metrics,
            devices=resources.devices,
            # Settled here: a worker elsewhere may have another environment.
            data_root=_path(plan.data_root) or default_data_root().absolute(),
            cache_dir=_path(plan.cache_dir),
        )
        return run_work(work, run_steps, resources.executor)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


@main.command()
@click.argument("out", metavar="OUT", type=FOLDER)
def status(out: Path) -> None:
    """Say what is done, failed, incomplete, pending; exit code 1 if a run failed."""
    runs = find_runs(out, read_plan(out))
    echo(describe_counts(runs))
    for line in (*describe_failures(runs), describe_others(runs)):
        if line:
            echo(line)
    if runs.counts()["failed"]:
        sys.exit(1)


@main.command()
@click.argument("out", metavar="OUT", type=FOLDER)
@click.option("--rows", default="annotations", show_default=True, help="Of a pivot.")
@click.option("--columns", default="method", show_default=True, help="Of a pivot.")
@click.option("--value", help="Of a pivot over any two fields, such as val_accuracy.")
@click.option("--name", default="pivot", show_default=True, help="Of a pivot's files.")
def table(out: Path, rows: str, columns: str, value: str | None, name: str) -> None:
    """Write the grid's tables again, from the records; needs neither torch nor data.

    With --value one more table: that value for --rows against --columns.
    """
    runs, specs = open_runs(out), None
    if value is not None:
        specs = (check_pivot(name=name, rows=rows, columns=columns, value=value),)
    with drawing(runs.out):
        _print_tables(runs, specs)


def _print_tables(runs: RunFolder, specs: tuple[TableSpec, ...] | None = None) -> None:
    # pandas and scipy, which the tables need, take a while to import.
    from reff_bench.report.files import write_assignment, write_tables

    texts, files = write_tables(runs, specs)
    try:
        assignment = assignment_latex(runs.plan)
    except ValueError as error:  # the data has been moved: the rest is there
        echo(f"tab1 isn't written: {error}", err=True)
        assignment = None
    if assignment is not None:
        files.insert(0, write_assignment(runs.out, assignment))
    for text in texts:
        echo(f"{text}\n")
    for line in describe_failures(runs):
        echo(line, err=True)
    names = ", ".join(path.name for path in files)
    echo(f"{describe_counts(runs)}\ntables: {runs.out / 'tables'}: {names}")


for command in (collect, evaluate, claims, report, figures, list_names):
    main.add_command(command)
