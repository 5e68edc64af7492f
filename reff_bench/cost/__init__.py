"""What a grid costs, before it is run."""

from reff_bench.cost.bill import Bill, make_bill, work_of
from reff_bench.cost.kinds import Kind
from reff_bench.cost.paces import Pace, Paces, find_recorded, read_paces, write_paces
from reff_bench.cost.simulate import Schedule, Task, simulate
from reff_bench.cost.sizes import Sizes, count_images
from reff_bench.cost.table import describe_cost, plan_tasks

__all__ = [
    "Bill",
    "Kind",
    "Pace",
    "Paces",
    "Schedule",
    "Sizes",
    "Task",
    "count_images",
    "describe_cost",
    "find_recorded",
    "make_bill",
    "plan_tasks",
    "read_paces",
    "simulate",
    "work_of",
    "write_paces",
]
