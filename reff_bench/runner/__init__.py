"""A grid over worker processes: check names, plan, run, resume, retry."""

from reff_bench.runner.board import Board, describe_progress
from reff_bench.runner.check import check_networks
from reff_bench.runner.run import (
    Work,
    add_current_folder,
    check_own_methods,
    find_work,
    plan_grid,
    run_work,
)
from reff_bench.runner.where import (
    Asked,
    Place,
    default_jobs,
    find_devices,
    open_place,
)
from reff_bench.runner.work import (
    CellWork,
    Step,
    evaluate_step,
    record_failure,
    train_step,
)

__all__ = [
    "Asked",
    "Board",
    "CellWork",
    "Place",
    "Step",
    "Work",
    "add_current_folder",
    "check_networks",
    "check_own_methods",
    "default_jobs",
    "describe_progress",
    "evaluate_step",
    "find_devices",
    "find_work",
    "open_place",
    "plan_grid",
    "record_failure",
    "run_work",
    "train_step",
]
