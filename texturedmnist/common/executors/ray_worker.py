"""What runs inside a Ray cluster: the actor beside the driver, and tasks at nodes."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import ray
from numpy.typing import NDArray

from texturedmnist import __version__
from texturedmnist.common.executors.interface import StoppedError, WorkerError
from texturedmnist.common.executors.worker import map_file, sendable

SEND_SECONDS = 0.25  # between two calls to the actor


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """What a task tells: that it begins (again), or what its work reported since."""

    number: int
    begins: bool
    messages: list[Any]


class ProgressActor:
    """Takes events in, says whether to stop, and hands files out; on the driver's node.

    An actor. As tasks call it and the driver asks it, no task needs to know where the
    driver is, and the driver never waits for a task.
    """

    def __init__(self) -> None:
        """Begin with no event."""
        self._events: list[ProgressEvent] = []
        self._stopped = False
        self._files: dict[Path, Any] = {}

    def add(self, event: ProgressEvent) -> bool:
        """Take an event in; return whether the task should stop."""
        self._events.append(event)
        return self._stopped

    def collect(self) -> list[ProgressEvent]:
        """Return the events that came in since the last call."""
        events, self._events = self._events, []
        return events

    def stop(self) -> None:
        """Let every task stop at its next report."""
        self._stopped = True

    def send(self, path: Path) -> list[Any]:
        """Return a reference to a file's bytes, put once: each node gets one copy."""
        if path not in self._files:
            self._files[path] = ray.put(map_file(path))
        # In a list, or Ray would send the bytes themselves as the answer.
        return [self._files[path]]


@dataclass(slots=True)
class RayReport:
    """Reports from a task to the actor; see `Report`."""

    actor: Any
    number: int
    slot: int = 0
    messages: list[Any] = field(default_factory=list)
    _sent: float = field(default_factory=time.monotonic)

    def __call__(self, message: Any, /) -> None:  # noqa: ANN401
        """Keep a message; hand over what has gathered now and then."""
        self.messages.append(message)
        if time.monotonic() - self._sent >= SEND_SECONDS:
            self.flush(begins=False)

    def flush(self, *, begins: bool) -> None:
        """Hand over what has gathered.

        Raises:
            StoppedError: the run is being stopped, or its driver is gone.
        """
        event = ProgressEvent(self.number, begins, self.messages)
        try:
            stopped = ray.get(self.actor.add.remote(event))
        except ray.exceptions.RayError:
            stopped = True
        if stopped:
            raise StoppedError
        self.messages, self._sent = [], time.monotonic()

    def fetch(self, path: Path) -> NDArray[np.uint8]:
        """Return a file of the driver's machine; this node's workers share one copy."""
        (reference,) = ray.get(self.actor.send.remote(path))
        content: NDArray[np.uint8] = ray.get(reference)
        return content


class Reply(NamedTuple):
    """What a task returns; `content` is a result or an error."""

    kind: Literal["done", "failed", "stopped"]
    content: Any
    messages: list[Any]


@dataclass(frozen=True, slots=True)
class SharedContext:
    """What tasks share with their driver.

    Attributes:
        work: a list with the reference to the work.
        actor: the actor.
        directory: the driver's current one, which relative paths start from.
        version: of this package there.
    """

    work: list[Any]
    actor: Any
    directory: str
    version: str = __version__


def do(setting: SharedContext, number: int, task: object) -> Reply:
    """Do one task in a worker of the cluster."""
    if setting.version != __version__:
        return Reply("failed", _other_version(setting.version), [])
    with suppress(OSError):  # absent on this node; then no path can start from it
        os.chdir(setting.directory)
    report = RayReport(setting.actor, number)
    try:
        report.flush(begins=True)
        result = _load(setting.work[0])(task, report)
    except StoppedError:
        return Reply("stopped", None, [])
    except Exception as error:  # the driver decides what it means
        return Reply("failed", sendable(error), report.messages)
    return Reply("done", result, report.messages)


@lru_cache(maxsize=1)
def _load(reference: Any) -> Any:  # noqa: ANN401 (Ray's references have no type)
    """Return the work, loaded once in each worker."""
    return ray.get(reference)


def _other_version(theirs: str) -> WorkerError:
    node = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    return WorkerError(
        f"node {node} has texturedmnist {__version__}, the process that started the "
        f"run {theirs}",
        "install the same version on every node",
    )
