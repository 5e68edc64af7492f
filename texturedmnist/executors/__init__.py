"""Where work runs: in this process or in several local ones."""

from texturedmnist.executors.processes import (
    Outcome,
    Report,
    StoppedError,
    WorkerError,
    run_each,
    run_tasks,
)

__all__ = [
    "Outcome",
    "Report",
    "StoppedError",
    "WorkerError",
    "run_each",
    "run_tasks",
]
