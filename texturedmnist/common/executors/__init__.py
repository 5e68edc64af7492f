"""Where work runs: in this process, in several local ones, or on a Ray cluster."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from texturedmnist.common.causes import name_shadow
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

if TYPE_CHECKING:
    from texturedmnist.common.executors.ray_cluster import RayCluster

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

EXECUTORS = ("local", "ray")


def check_executor(executor: str, address: str | None) -> None:
    """Refuse what can't be met, before anything is done.

    Raises:
        ExecutorError: an address without Ray, or Ray isn't installed.
    """
    if executor != "ray" and address is not None:
        raise ExecutorError("--address is a Ray cluster's: add --executor ray")
    if executor == "ray" and find_spec("ray") is None:
        raise ExecutorError(
            "--executor ray needs the package ray: pip install 'texturedmnist[ray]'"
        )


def open_ray(
    address: str | None, *, jobs: int | None, needs: Callable[[Any], Any] | None = None
) -> "RayCluster":
    """Return a Ray cluster of at most so many tasks at once, joined when it is entered.

    `needs` returns a task's (CPUs, GPUs); one CPU by default. See `RayCluster`.

    Raises:
        ExecutorError: what Python takes for Ray isn't.
    """
    # Ray is an extra, and takes a second to import.
    try:
        from texturedmnist.common.executors.ray_cluster import Needs, RayCluster
    except (ImportError, AttributeError) as error:
        raise ExecutorError(
            f"--executor ray needs the package ray: {error}{name_shadow('ray')}"
        ) from None

    given = {} if needs is None else {"needs": lambda task: Needs(*needs(task))}
    return RayCluster(address, jobs=jobs, **given)
