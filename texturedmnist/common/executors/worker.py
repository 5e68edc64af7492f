"""The worker's side of a local process."""

import _thread
import atexit
import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.executors.interface import Report, StoppedError, WorkerError
from texturedmnist.common.executors.interrupts import leave_interrupts


def serve(pipe: Connection, slot: int) -> None:
    """Take the work, do tasks as they come; leave interrupts to the parent.

    It doesn't outlive the parent.
    """
    leave_interrupts()
    # threading.Thread waits for ever for a thread that dies of short memory.
    _thread.start_new_thread(_die_with_parent, ())
    finished: list[bool] = []
    atexit.register(_end_at_once, finished)  # first in, so it is the last to be called
    report = _Piped(pipe, slot)
    with suppress(StoppedError, EOFError, BrokenPipeError, ConnectionResetError):
        work = _receive_work(pipe)
        if work is not None:
            pipe.send(("ready", None))
        while work is not None and (message := pipe.recv()) is not None:
            try:
                reply = "done", work(message[0], report)
            except StoppedError:
                raise
            except Exception as error:  # the parent decides what it means
                reply = "failed", sendable(error)
            pipe.send(reply)
    finished.append(True)


def _receive_work(pipe: Connection) -> Callable[[Any, Report], Any] | None:
    """Return the work; None, and say so, if a module that it needs can't be loaded."""
    data = pipe.recv_bytes()
    try:
        work: Callable[[Any, Report], Any] = pickle.loads(data)
    except Exception as error:  # whatever a module does while it is imported
        reason = f"{type(error).__name__}: {error}"
        words = f"a worker process can't load its work ({reason})"
        pipe.send(("broken", WorkerError(words)))
        return None
    return work


def _end_at_once(finished: list[bool]) -> None:
    """Skip the interpreter's own clearing up, which takes torch a second or two."""
    if finished:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class _Piped:
    """Reports from a worker process to its parent."""

    def __init__(self, pipe: Connection, slot: int) -> None:
        self.slot, self._pipe = slot, pipe

    def __call__(self, message: Any, /) -> None:  # noqa: ANN401
        if self._pipe.poll():  # while work is under way only the call to stop comes
            raise StoppedError
        self._pipe.send(("report", message))

    def fetch(self, path: Path) -> NDArray[np.uint8]:
        return map_file(path)


def map_file(path: Path) -> NDArray[np.uint8]:
    """Map a file's bytes, (bytes,) uint8, read-only."""
    # A plain array is sliced faster than its subclass.
    return np.memmap(path, np.uint8, "r").view(np.ndarray)


def sendable(error: Exception) -> Exception:
    """Return the error itself if it survives the way, else its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever a foreign __reduce__ raises
        return WorkerError(f"{type(error).__name__}: {error}")
    return error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        with suppress(OSError):
            wait_for([parent.sentinel])
        os._exit(1)
