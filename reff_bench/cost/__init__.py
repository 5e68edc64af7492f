"""What a grid costs, before it is run."""

from reff_bench.cost.operations import Operation, WorkEstimate, estimate_work
from reff_bench.cost.sizes import Sizes, count_images
from reff_bench.cost.step_times import StepTimes, read_step_times, write_step_times
from reff_bench.cost.table import describe_cost

__all__ = [
    "Operation",
    "Sizes",
    "StepTimes",
    "WorkEstimate",
    "count_images",
    "describe_cost",
    "estimate_work",
    "read_step_times",
    "write_step_times",
]
