"""When the cells of a plan would run on so many devices: `simulate`, pure."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class Task:
    """One cell.

    Attributes:
        seconds: that it works, its pseudo-annotator left out.
        needs: what stands for that, None where there is none.
        needs_seconds: that making it takes.
    """

    seconds: float
    needs: Hashable = None
    needs_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """What came of it.

    Attributes:
        slots: cells that run at once.
        makespan: seconds from the first cell's start to the last one's end.
        work: seconds of work in all cells together, waiting left out.
        longest: seconds that the longest cell takes with its pseudo-annotator.
    """

    slots: int
    makespan: float
    work: float
    longest: float

    @property
    def busy(self) -> float:
        """The share of the slots' time that is work, in [0, 1]."""
        return self.work / (self.slots * self.makespan) if self.makespan else 1.0

    @property
    def bound(self) -> float:
        """Seconds below which no order of the cells can come."""
        return max(self.work / self.slots, self.longest)


def simulate(tasks: Sequence[Task], slots: int) -> Schedule:
    """Run the tasks as the runner does, in a made-up time.

    The next task of the plan goes to the slot that is free first. A pseudo-annotator is
    made by the first task that needs it, while the others that need it wait in their
    slots.

    Args:
        tasks: in the order of the plan.
        slots: how many run at once, at least 1.
    """
    free = [0.0] * slots  # a heap: when each slot is free
    made: dict[Hashable, float] = {}  # when each annotator is there
    work = longest = 0.0
    for task in tasks:
        now = heappop(free)
        work += task.seconds
        if task.needs is not None:
            if task.needs not in made:
                made[task.needs] = now + task.needs_seconds
                work += task.needs_seconds
            now = max(now, made[task.needs])
            longest = max(longest, task.needs_seconds + task.seconds)
        longest = max(longest, task.seconds)
        heappush(free, now + task.seconds)
    return Schedule(slots, max(free), work, longest)
