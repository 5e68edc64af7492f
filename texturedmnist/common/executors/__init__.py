"""Where work runs: in this process, in several local ones, or on a Ray cluster."""

from texturedmnist.common.executors.choose import EXECUTORS, check_executor, open_ray
from texturedmnist.common.executors.interface import (
    Executor,
    ExecutorError,
    Outcome,
    Report,
    StoppedError,
    TimeLimitError,
    WorkerError,
    run_tasks,
)
from texturedmnist.common.executors.interrupts import Interrupt, interrupts_raised
from texturedmnist.common.executors.local import LocalProcesses, ThisProcess, local
from texturedmnist.common.executors.part import Part, sole_writer

__all__ = [
    "EXECUTORS",
    "Executor",
    "ExecutorError",
    "Interrupt",
    "LocalProcesses",
    "Outcome",
    "Part",
    "Report",
    "StoppedError",
    "ThisProcess",
    "TimeLimitError",
    "WorkerError",
    "check_executor",
    "interrupts_raised",
    "local",
    "open_ray",
    "run_tasks",
    "sole_writer",
]
