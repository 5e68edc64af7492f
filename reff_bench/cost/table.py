"""The cost of a plan in words: `describe_cost`."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from reff_bench.cost.bill import Bill, make_bill
from reff_bench.cost.kinds import WORDS, Kind, describe_kind
from reff_bench.cost.paces import Paces
from reff_bench.cost.simulate import Schedule, Task, simulate
from reff_bench.grid import Cell
from texturedmnist.common.text import align

HOUR = 3600
DAY = 24 * HOUR


def plan_tasks(cells: Sequence[Cell], paces: Paces) -> list[Task]:
    """Return the cells of a plan as what the simulation needs to know of them."""
    return [_task(make_bill(cell), paces) for cell in cells]


def describe_cost(cells: Sequence[Cell], paces: Paces, devices: Collection[int]) -> str:
    """Return what some cells cost: by kind of work, then by number of devices.

    Args:
        cells: to run, each once, in the order of the plan.
        paces: of all their work.
        devices: numbers of devices, one cell at a time on each.
    """
    schedules = [simulate(plan_tasks(cells, paces), count) for count in devices]
    return "\n".join(
        [
            f"cost at the paces of {_device(paces)}, reading of data not counted:",
            *_columns(_WORK_HEAD, _work_rows(cells, paces)),
            "",
            *_columns(_PLAN_HEAD, [_plan_row(one) for one in schedules]),
        ]
    )


def describe_seconds(seconds: float) -> str:
    """Return a time in the unit that suits it: `3.5 h`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.3g} min"
    if seconds < 3 * DAY:
        return f"{seconds / HOUR:.3g} h"
    return f"{_digits(seconds / DAY)} days"


def _digits(value: float) -> str:
    """Return a number in three digits, or in whole ones: `0.0123`, `16,875`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


_WORK_HEAD = ("work", "runs", "how often", "ms each", "hours", "pace")
_PLAN_HEAD = ("devices", "wall time", "device-hours", "busy", "no order beats", "bound")


def _device(paces: Paces) -> str:
    if paces.device_type != "cpu":
        return paces.device
    return f"a CPU ({paces.device}), a device being the threads of one cell"


def _task(bill: Bill, paces: Paces) -> Task:
    return Task(
        _seconds(bill.parts, paces),
        bill.annotator,
        _seconds(bill.annotator_parts, paces),
    )


def _seconds(parts: Mapping[Kind, float], paces: Paces) -> float:
    return sum(count * paces.by_kind[kind].seconds for kind, count in parts.items())


def _work_rows(cells: Sequence[Cell], paces: Paces) -> list[tuple[str, ...]]:
    runs, times = _totals(cells)
    order = [*WORDS]
    return [
        (
            *(describe_kind(kind, times), str(runs[kind]), f"{times[kind]:,.0f}"),
            _digits(1e3 * paces.by_kind[kind].seconds),
            _digits(times[kind] * paces.by_kind[kind].seconds / HOUR),
            paces.by_kind[kind].source,
        )
        for kind in sorted(times, key=lambda kind: order.index(kind.what))
    ]


def _totals(cells: Sequence[Cell]) -> tuple[Counter[Kind], dict[Kind, float]]:
    """Return in how many runs each kind occurs, and how often; annotators once."""
    runs: Counter[Kind] = Counter()
    times: dict[Kind, float] = {}
    made: set[str | None] = {None}
    for bill in map(make_bill, cells):
        shared = {} if bill.annotator in made else bill.annotator_parts
        made.add(bill.annotator)
        for kind, count in (*bill.parts.items(), *shared.items()):
            runs[kind] += 1
            times[kind] = times.get(kind, 0.0) + count
    return runs, times


def _plan_row(schedule: Schedule) -> tuple[str, ...]:
    by_work = schedule.work / schedule.slots >= schedule.longest
    return (
        f"{schedule.slots:,}",
        describe_seconds(schedule.makespan),
        _digits(schedule.makespan * schedule.slots / HOUR),
        f"{schedule.busy:.0%}",
        describe_seconds(schedule.bound),
        "the work in all" if by_work else "the longest run",
    )


def _columns(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return lines of a table: the first and last column to the left."""
    sides = "<" + ">" * (len(head) - 2) + "<"
    return [f"  {line}" for line in align([head, *rows], sides)]
