"""A grid over worker processes: check names, plan, run, resume, retry."""

from reff_bench.runner.board import ProgressBoard, describe_progress
from reff_bench.runner.check import check_networks
from reff_bench.runner.run import (
    PendingRuns,
    add_current_folder,
    check_own_methods,
    find_work,
    plan_grid,
    run_work,
)
from reff_bench.runner.where import (
    Place,
    RunOptions,
    default_jobs,
    find_devices,
    open_place,
)
from reff_bench.runner.work import (
    RunFunction,
    RunWork,
    record_failure,
    run_evaluation,
    run_training,
)

__all__ = [
    "PendingRuns",
    "Place",
    "ProgressBoard",
    "RunFunction",
    "RunOptions",
    "RunWork",
    "add_current_folder",
    "check_networks",
    "check_own_methods",
    "default_jobs",
    "describe_progress",
    "find_devices",
    "find_work",
    "open_place",
    "plan_grid",
    "record_failure",
    "run_evaluation",
    "run_training",
    "run_work",
]
