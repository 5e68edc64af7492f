"""Ctrl-C and the like: raised where they do no harm."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

# Ctrl-C, what a scheduler or `kill` sends, and a terminal that is closed.
INTERRUPTS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
)


class Interrupt(KeyboardInterrupt):
    """The process was asked to stop by a signal.

    Attributes:
        number: of the signal; a shell's exit code for it is 128 more.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        """Keep the signal's number."""
        super().__init__(signal.Signals(number).name)
        self.number = number


def leave_interrupts() -> None:
    """Ignore interrupts in this process for good: its parent stops it.

    What interrupts a parent often reaches its processes too.
    """
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        # A process of its own (a data loader) must not inherit that they are held.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)


@contextmanager
def interrupts_raised() -> Iterator[None]:
    """Raise `Interrupt` on SIGTERM and SIGHUP, which end a process at once otherwise.

    A signal that is ignored (as SIGHUP under nohup) or handled already is left alone,
    and so are all in other threads than the main one.
    """
    with _handled(_raise, lambda handler: handler is signal.SIG_DFL):
        yield


@contextmanager
def interrupts_noted() -> Iterator[list[int]]:
    """Keep interrupts back and note them, at the latest until the end.

    Raised wherever it happens to arrive, one gets lost in one case of five: h5py spends
    much time in clean-up code, out of which Python lets no exception. For the same
    reason half a pool of processes could be left behind.
    """
    caught: list[int] = []
    try:
        # Those alone that would raise: others end the process or are ignored.
        with _handled(lambda number, _: caught.append(number), callable):
            yield caught
    finally:
        if caught:
            signal.raise_signal(caught[0])


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Keep interrupts back until processes are started, and they leave them to us.

    They inherit the mask. It doesn't reach this process's other threads (BLAS's, say).
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started with the first process otherwise, and it lets interrupts through again.
    resource_tracker.ensure_running()
    with interrupts_noted():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupt(number)


@contextmanager
def _handled(
    handle: Callable[[int, FrameType | None], None], replaces: Callable[[Any], bool]
) -> Iterator[None]:
    """Handle the interrupts whose present handler may be replaced; restore it."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in INTERRUPTS:
            if replaces(signal.getsignal(number)):
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
