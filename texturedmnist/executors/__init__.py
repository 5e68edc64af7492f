"""Where work runs: in this process, in several local ones, or on a Ray cluster."""

from texturedmnist.executors.choose import EXECUTORS, check_executor, open_ray
from texturedmnist.executors.interface import (
    Executor,
    ExecutorError,
    Outcome,
    Report,
    StoppedError,
    WorkerError,
    run_tasks,
)
from texturedmnist.executors.interrupts import Interrupt, interrupts_raised
from texturedmnist.executors.local import LocalProcesses, ThisProcess, local
from texturedmnist.executors.part import Part, hold_folder

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
    "WorkerError",
    "check_executor",
    "hold_folder",
    "interrupts_raised",
    "local",
    "open_ray",
    "run_tasks",
]
