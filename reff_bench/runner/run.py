"""A grid over worker processes: check, plan, run, resume, retry."""

import sys
from collections.abc import Container, Hashable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from reff_bench.catalog.backbones import BACKBONES
from reff_bench.catalog.find import CatalogError
from reff_bench.catalog.methods import is_own, method_spec
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.expand import expand
from reff_bench.grid.model import Grid
from reff_bench.identity.configs import identify_configs
from reff_bench.results.folder import RunFolder, find_runs
from reff_bench.results.json_file import ResultsError
from reff_bench.results.plan import PLAN_NAME, Plan, write_plan
from reff_bench.results.run import ERROR_NAME, RECORD_NAME, read_run, run_folder
from reff_bench.runner.board import ProgressBoard
from reff_bench.runner.work import RunWork, record_failure
from texturedmnist.common.executors import Executor, Part, sole_writer

PROVEN = {name for name, spec in BACKBONES.items() if spec.proven}


@dataclass(frozen=True, slots=True)
class PendingRuns:
    """Runs to run, and how.

    Attributes:
        runs: of the grid, as they were found.
        todo: those to run, each run once.
        share: all runs of the plan, or those of the part, done or not.
        part: of the plan, if others run the rest.
    """

    runs: RunFolder
    todo: tuple[RunConfig, ...]
    share: tuple[RunConfig, ...]
    part: Part | None = None

    @property
    def out(self) -> Path:
        """The folder of runs."""
        return self.runs.out

    @property
    def plan(self) -> Plan:
        """The grid."""
        return self.runs.plan


def plan_grid(
    grid: Grid, *, data_root: Path | None = None, cache_dir: Path | None = None
) -> Plan:
    """Expand a grid and find out what its data is; nothing is written.

    Raises:
        GridError: runs that can't be, missing data or weights.
    """
    configs = identify_configs(expand(grid), data_root=data_root, cache_dir=cache_dir)
    return Plan(
        name=grid.name,
        select=grid.select,
        tables=grid.tables,
        metrics=grid.metrics,
        configs=configs,
        data_root=None if data_root is None else str(data_root.resolve()),
        cache_dir=None if cache_dir is None else str(cache_dir.resolve()),
    )


def find_work(
    plan: Plan,
    out: Path,
    *,
    retry: bool = False,
    part: Part | None = None,
    known: Container[str] = (),
) -> PendingRuns:
    """Return what of a plan is left to do.

    Args:
        plan: of a grid. Runs of other grids in the folder stay, and are used where
            their runs are this grid's.
        out: the folder of runs.
        retry: all failed runs count as left, not only those that failed for a reason
            outside them.
        part: only these of its runs; the same ones whatever is done already.
        known: ids of runs that are done elsewhere.

    Raises:
        ResultsError: the folder holds something else.
    """
    _check_folder(out)
    runs = find_runs(out, plan)
    share = runs.runs() if part is None else part.take(runs.runs())
    todo = [
        run
        for run in share
        if run.id not in known
        and (run.is_left(retry=retry) or run.needs_evaluation(plan.metrics))
    ]
    return PendingRuns(
        runs,
        tuple(run.settings for run in todo),
        tuple(run.settings for run in share),
        part,
    )


def _check_folder(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise ResultsError(f"{out} is a file; give a folder to --out")
    own = {PLAN_NAME, "cells", "tables", "figures", "annotators", "report.html", "logs"}
    names = sorted(path.name for path in out.iterdir() if path.name[0] != ".")
    foreign = [name for name in names if name not in own]
    if foreign and not (out / PLAN_NAME).is_file():
        raise ResultsError(
            f"{out} holds files that aren't a benchmark's: {', '.join(foreign[:3])}; "
            "choose an empty or new folder with --out"
        )


def check_own_methods(configs: tuple[RunConfig, ...]) -> None:
    """Import the methods of the user's own, to find a mistake before anything runs.

    Raises:
        GridError: one can't be imported, or is no method; says where.
    """
    try:
        for name in sorted(
            {config.method for config in configs if is_own(config.method)}
        ):
            method_spec(name)
    except CatalogError as error:
        raise GridError(f"the method {error}") from None


def run_work(
    work: PendingRuns, run_steps: RunWork, executor: Executor, *, show: bool = True
) -> RunFolder:
    """Run what is left to do; a run that fails is recorded and the rest goes on.

    Returned are the runs of the work's share as they are now.

    Raises:
        FolderError: another process runs in the folder, or it can't be written.
    """
    # Beside other parts, a temporary file may be theirs.
    leftovers = () if work.part else (f".{PLAN_NAME}.*.tmp",)
    with sole_writer(work.out, work.part, leftovers):
        write_plan(work.out, work.plan)
        if work.todo:
            _run(work, run_steps, executor, show=show)
    plan = work.plan
    if work.part is not None:
        plan = plan.model_copy(update={"configs": work.share})
    return find_runs(work.out, plan)


def _run(
    work: PendingRuns, run_steps: RunWork, executor: Executor, *, show: bool
) -> None:
    folders = [run_folder(work.out, config) for config in work.todo]
    for folder in folders:
        _forget_failure(folder)
    with ProgressBoard(work.todo, show=show) as board:
        outcomes = executor.run_each(
            run_steps, work.todo, report=board.reported, started=board.started
        )
        with closing(outcomes):
            for outcome in outcomes:
                config, folder = work.todo[outcome.number], folders[outcome.number]
                # A worker can be lost in the moment after it has finished a run.
                ended = read_run(folder).status in ("done", "failed")
                if outcome.error is not None and not ended:
                    record_failure(config, folder, outcome.error)
                board.finished(outcome.number, _describe_end(folder))


def _forget_failure(folder: Path) -> None:
    """Take the mark of failure, or a damaged record, from a run to be tried again."""
    if read_run(folder).status == "failed":
        (folder / ERROR_NAME).unlink(missing_ok=True)
        (folder / RECORD_NAME).unlink(missing_ok=True)


def _describe_end(folder: Path) -> str:
    run = read_run(folder)
    record = run.record or {}
    if run.status == "failed":
        return f"FAILED, {record['reason']}"
    accuracy = record.get("val_accuracy")
    return "done" if accuracy is None else f"done, val accuracy {accuracy:.1%}"


def add_current_folder() -> None:
    """Let a grid name methods of modules that lie where the command is run."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def check_networks(configs: Sequence[RunConfig], *, download: bool = True) -> None:
    """Take a step by shapes alone with each network of timm, and read all weights.

    Our own ResNets from scratch are known to work, so that a grid of them is planned
    without loading torch. With `download` ImageNet's weights are read, too, which may
    have to be fetched.

    Raises:
        GridError: a network doesn't exist or can't be trained by a method, or its
            weights can't be had or don't fit.
    """
    known = [config for config in configs if not is_own(config.method)]
    untried = [config for config in known if config.backbone not in PROVEN]
    skipped = (None,) if download else (None, "imagenet")
    weights = {(c.backbone, c.weights): c for c in known if c.weights not in skipped}
    if not untried and not weights:
        return
    # torch is loaded only where it is needed.
    from reff_bench.methods.method import MethodError
    from reff_bench.methods.registry import check_trainable, find_method
    from reff_bench.models.backbone import build_backbone
    from reff_bench.models.output import ModelError

    try:
        for backbone, name in weights:
            build_backbone(backbone, 10, weights=name)
        steps: dict[Hashable, RunConfig] = {}
        for config in untried:
            method = find_method(config.method)
            place = config.backbone, config.image_size, *_explained(config)
            steps.setdefault((method.build, method.second_order, *place), config)
        for config in steps.values():
            check_trainable(config)
    except (ModelError, MethodError) as error:
        raise GridError(str(error)) from None


def _explained(config: RunConfig) -> tuple[Hashable, ...]:
    """Return the options that decide what is differentiated."""
    return tuple(getattr(config.options, name, None) for name in ("layers", "cam_bn"))
