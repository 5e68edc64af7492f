"""A map in threads that ends even where memory is short."""

import _thread
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_THREADS = 32
MISSING = object()


def map_in_threads(
    work: Callable[[Item], Result], items: Sequence[Item]
) -> list[Result]:
    """Return what `work` returns for each item, in order; raise what it raises.

    The calling thread works, others help: what `work` does has to be harmless twice.
    Python's own pools wait for ever for a thread that has died of short memory while it
    started; nothing is waited for here that hasn't started, and what a helper leaves is
    done again by the caller.

    Examples:
        >>> map_in_threads(abs, [-1, 2, -3])
        [1, 2, 3]
    """
    found: list[object] = [MISSING] * len(items)
    turns = iter(range(len(items)))
    started: list[_thread.LockType] = []

    def take_turns() -> None:
        for number in turns:
            found[number] = work(items[number])

    def help_out(busy: _thread.LockType) -> None:
        with suppress(BaseException):  # the caller meets it, too
            started.append(busy)
            take_turns()
        busy.release()

    with suppress(RuntimeError, MemoryError):  # no more threads: then with fewer
        for _ in range(min(os.cpu_count() or 1, MOST_THREADS, len(items)) - 1):
            busy = _thread.allocate_lock()
            busy.acquire()
            _thread.start_new_thread(help_out, (busy,))
    take_turns()
    for busy in [*started]:
        busy.acquire()
    pairs = zip(found, items, strict=True)
    return [work(item) if one is MISSING else one for one, item in pairs]  # type: ignore[misc]
