"""Runs what fits of grids/study_gpu.yaml into some minutes, what tells most first.

python -m benchmarks.study_gpu --minutes 28 --data-root ../shared/data --out results/gpu
"""

import time
from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.common import ROOT
from reff_bench.cli.options import check_device, data_options
from reff_bench.grid.config import GridError, RunConfig, config_id, describe_config
from reff_bench.grid.load import load_grid
from reff_bench.report.files import write_tables
from reff_bench.results.collected import collect_runs, read_records, restore
from reff_bench.results.folder import find_runs
from reff_bench.results.json_file import ResultsError
from reff_bench.results.plan import write_plan
from reff_bench.runner.run import (
    PendingRuns,
    check_networks,
    find_work,
    plan_grid,
    run_work,
)
from reff_bench.runner.where import RunOptions, open_resources
from reff_bench.runner.work import RunWork, run_evaluation, run_training
from texturedmnist.common.cli import FOLDER, join_options
from texturedmnist.common.executors import Executor, Outcome
from texturedmnist.sources import default_data_root

GRID = ROOT / "grids" / "study_gpu.yaml"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(slots=True)
class Session:
    """Some minutes on a device: an executor for the runner that stops in time.

    Attributes:
        work: what is left to do, what tells most first.
        inner: does it, one run at a time.
        records: the file that gets the finished runs, after each one.
        ends: when no run should be going on any more, in seconds of `clock`.
        clock: seconds.
        took: seconds that the latest run of each kind took.
    """

    work: PendingRuns
    inner: Executor
    records: Path
    ends: float
    clock: Callable[[], float] = time.monotonic
    took: dict[Hashable, float] = field(default_factory=dict)

    def run(self, run_steps: RunWork) -> None:
        """Run what fits."""
        while self._goes_on():
            run_work(self.work, run_steps, self, show=False)

    def run_each(
        self,
        work: Callable[[Any, Any], Any],
        tasks: Sequence[Any],
        *,
        report: Callable[[int, Any], None],
        started: Callable[[int], None] = lambda number: None,
    ) -> Generator[Outcome[Any], None, None]:
        """Hand on what the inner executor yields, until a run fails or none fits.

        An error of a GPU can stay in the process that met it, so that what comes after
        a failed run is started in a new one.
        """
        start = self.clock()
        outcomes = self.inner.run_each(work, tasks, report=report, started=started)
        with closing(outcomes):
            for outcome in outcomes:
                yield outcome
                done = self._ended(tasks[outcome.number], self.clock() - start)
                if not (done and self._goes_on()):
                    return
                start = self.clock()

    def _goes_on(self) -> bool:
        """Tell whether there is a next run and it will probably end in time.

        It is expected to take as long as the latest of its kind and, where there was
        none, as the longest of all.
        """
        if not self.work.todo:
            return False
        longest = max(self.took.values(), default=0.0)
        expected = self.took.get(kind_of(self.work.todo[0]), longest)
        return self.clock() + expected < self.ends

    def _ended(self, config: RunConfig, seconds: float) -> bool:
        """Collect the records and print a line; return whether the run is done."""
        todo = tuple(other for other in self.work.todo if other != config)
        self.work = replace(self.work, todo=todo)
        collect_runs([self.work.out], self.records)
        only = self.work.plan.model_copy(update={"configs": (config,)})
        (run,) = find_runs(self.work.out, only).records
        if run.status == "done":
            self.took[kind_of(config)] = seconds
            said = f"test {run.metrics['test_accuracy']:.1%}"
        else:
            said = f"FAILED: {run.reason}"
        minutes = max(0.0, self.ends - self.clock()) / 60
        rest = f"{len(todo)} runs and {minutes:.1f} min left"
        click.echo(
            f"{describe_config(config, exact=True)}: {said}, {seconds:.0f} s; {rest}"
        )
        return run.status == "done"


def kind_of(config: RunConfig) -> Hashable:
    """Return what runs that take about as long have in common."""
    return (
        config.method,
        config.uses_annotator,
        config.image_size,
        config.train,
        config.epochs,
    )


def in_order(work: PendingRuns) -> PendingRuns:
    """Order what is left as the plan: a shared run comes where its first run does."""
    left = {config_id(config): config for config in work.todo}
    order = dict.fromkeys(config_id(config) for config in work.plan.configs)
    return replace(work, todo=tuple(left[key] for key in order if key in left))


@click.command()
@click.option("--set", "overrides", multiple=True, help="As of reff-bench run.")
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=28.0,
    show_default=True,
    help="No run is started that would probably end later.",
)
@click.option(
    "--out",
    type=FOLDER,
    envvar="OUT",
    show_envvar=True,
    required=True,
    help="Folder that gets records.jsonl.",
)
@click.option("--records", type=FILE, help="Of an earlier session: they count as done.")
@click.option("--runs", type=FOLDER, help="Folder of runs.  [default: runs/study_gpu]")
@join_options(*data_options)
def main(
    overrides: tuple[str, ...],
    minutes: float,
    out: Path,
    records: Path | None,
    runs: Path | None,
    device: str,
    data_root: Path | None,
    cache_dir: Path | None,
) -> None:
    """Run what fits into some minutes, one after another; print the tables.

    After every run OUT/records.jsonl holds all that are done. What failed is tried
    again the next time.
    """
    ends, into = time.monotonic() + 60 * minutes, out / "records.jsonl"
    known = [path for path in dict.fromkeys((records, into)) if path and path.is_file()]
    try:
        check_device(device)
        grid = load_grid(GRID, overrides)
        plan = plan_grid(grid, data_root=data_root, cache_dir=cache_dir)
        runs = runs or Path("runs") / plan.name
        for path in known:
            taken = restore(read_records(path), runs, plan.configs)
            click.echo(f"{taken} runs taken from {path}")
        work = in_order(find_work(plan, runs, retry=True))
        check_networks(work.todo)
        write_plan(runs, plan)
        collect_runs([runs], into)
        with open_resources(
            plan, RunOptions(jobs=1, device=device), len(work.todo)
        ) as resources:
            click.echo(resources.words)
            root = data_root or default_data_root().absolute()
            steps = run_training, run_evaluation
            run_steps = RunWork(runs, *steps, resources.devices, root, cache_dir)
            Session(work, resources.executor, into, ends).run(run_steps)
    except (GridError, ResultsError) as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    found = find_runs(runs, plan)
    texts, _ = write_tables(found)
    counts = found.counts()
    click.echo("\n\n".join([*texts, f"{counts['done']} runs done: {into}"]))
    if counts["failed"]:
        raise click.ClickException(f"{counts['failed']} runs failed: see {runs}")


if __name__ == "__main__":
    main()
