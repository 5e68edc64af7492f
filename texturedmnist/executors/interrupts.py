"""Keeping a Ctrl-C back where it would do harm."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def interrupts_noted() -> Iterator[list[int]]:
    """Keep a Ctrl-C back and note it, at the latest until the end.

    Raised wherever it happens to arrive, it gets lost in one case of five: h5py spends
    much time in clean-up code, out of which Python lets no exception. For the same
    reason half a pool of processes could be left behind.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    handler = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Keep a Ctrl-C back until all processes are started, and from them for good.

    They inherit the mask. It doesn't reach this process's other threads (BLAS's, say).
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started with the first process otherwise, and it lets interrupts through again.
    resource_tracker.ensure_running()
    with interrupts_noted():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
