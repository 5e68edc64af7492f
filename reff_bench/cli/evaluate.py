"""The `evaluate` command."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from reff_bench.cli.options import check_device, data_options
from reff_bench.grid.config import GridError, RunConfig, describe_configs, read_config
from reff_bench.grid.expand import expand
from reff_bench.grid.load import load_grid
from reff_bench.identity.configs import find_data, identify_configs
from reff_bench.results.json_file import Fields, ResultsError
from reff_bench.results.plan import PLAN_NAME, read_plan
from reff_bench.results.run import CONFIG_NAME, RunError, run_folder, status_of
from reff_bench.runner.run import add_current_folder, check_own_methods
from reff_bench.runner.where import find_devices
from reff_bench.runner.work import run_evaluation
from texturedmnist.common.cli import FOLDER, echo, join_options

PACKAGES = ("reff_bench", "texturedmnist")


@click.command()
@click.argument("target", metavar="OUT|RUN|CHECKPOINT", type=FOLDER)
@click.option("--grid", "grid_file", type=FOLDER, help="Of a checkpoint of your own.")
@join_options(*data_options)
def evaluate(
    target: Path,
    grid_file: Path | None,
    data_root: Path | None,
    cache_dir: Path | None,
    device: str,
) -> None:
    """Compute metrics again from weights, for finished runs or one of your own.

    OUT: every finished run of a folder of runs. RUN: one run's folder. CHECKPOINT: a
    file of weights; the first run of --grid says which network and data they are for.
    """
    check_device(device)
    add_current_folder()
    if target.is_file():
        options = {"data_root": data_root, "cache_dir": cache_dir}
        metrics = _evaluate_file(
            target, _config_of(grid_file, options), device, options
        )
        echo(json.dumps(metrics, indent=1))
        return
    runs, options = _finished_runs(target, data_root, cache_dir)
    check_own_methods(tuple(config for config, _ in runs))
    where = find_devices(device)[0]
    described = describe_configs([config for config, _ in runs])
    for number, (config, folder) in enumerate(runs):
        echo(f"{number + 1} of {len(runs)}: {described[number]}", err=True)
        with _report_errors():
            run_evaluation(
                config, folder, device=where, report=lambda _: None, **options
            )
    echo(f"evaluated {len(runs)} runs")


def _evaluate_file(
    path: Path, config: RunConfig, device: str, options: dict[str, Path | None]
) -> Fields:
    check_own_methods((config,))
    # torch, which only this command needs here, takes long to import.
    from reff_bench.evaluate.checkpoint import evaluate_checkpoint

    try:
        with _report_errors():
            where = find_devices(device)[0]
            return evaluate_checkpoint(path, config, device=where, **options)
    except RunError as error:  # of the file that was given, not of work that failed
        raise click.UsageError(str(error)) from None


@contextmanager
def _report_errors() -> Iterator[None]:
    """Turn what data, models and methods refuse into one line."""
    try:
        yield
    except (RunError, GridError, OSError):
        raise
    except ValueError as error:
        if type(error).__module__.split(".")[0] not in PACKAGES:
            raise
        raise click.UsageError(str(error)) from None


def _config_of(grid_file: Path | None, options: dict[str, Path | None]) -> RunConfig:
    if grid_file is None:
        raise click.UsageError(
            "a checkpoint needs --grid GRID.YAML: its first run says which network and "
            "data it is for"
        )
    return identify_configs(expand(load_grid(grid_file))[:1], **options)[0]


def _finished_runs(
    target: Path, data_root: Path | None, cache_dir: Path | None
) -> tuple[list[tuple[RunConfig, Path]], dict[str, Any]]:
    """Return the trained runs of a folder of runs, or the one of its own folder.

    Returns:
        The runs with their folders, and how to evaluate them: where their data and
        cache are (where the flags say, else where they were when the runs were made),
        and the metrics of the user's own.
    """
    if (target / CONFIG_NAME).is_file() and not (target / PLAN_NAME).is_file():
        target = target.absolute()
        configs, folders = [_read_config(target / CONFIG_NAME)], [target]
        above = target.parents[1]
        plan = read_plan(above) if (above / PLAN_NAME).is_file() else None
    else:
        plan = read_plan(target)
        by_folder = {
            run_folder(target, config): config for config in reversed(plan.configs)
        }
        configs, folders = [*by_folder.values()], [*by_folder]
    done = [n for n, folder in enumerate(folders) if status_of(folder) == "done"]
    if not done:
        raise ResultsError(f"{target} holds no finished run to evaluate")
    moved = find_data([configs[n] for n in reversed(done)], data_root)
    there = [folders[n] for n in reversed(done)]
    if plan is not None and plan.data_root is not None:
        data_root = data_root or Path(plan.data_root)
    if plan is not None and plan.cache_dir is not None:
        cache_dir = cache_dir or Path(plan.cache_dir)
    options: dict[str, Any] = {"data_root": data_root, "cache_dir": cache_dir}
    if plan is not None and plan.metrics:
        options["metrics"] = plan.metrics
    return list(zip(moved, there, strict=True)), options


def _read_config(path: Path) -> RunConfig:
    try:
        return read_config(path)
    except ValueError as error:  # pydantic's, and of text that isn't UTF-8
        reason = str(error).splitlines()[0]
        raise ResultsError(
            f"{path} is no run's folder ({reason}); give the folder of runs"
        ) from None
