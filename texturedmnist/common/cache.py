"""What a worker keeps in memory for its next tasks: `Cache`, filled by `cached`."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

Key = ParamSpec("Key")
Result = TypeVar("Result")
Cached = Callable[Concatenate["Cache", Key], Result]


class Cache:
    """Results of functions marked with `cached`, the last few of each.

    Whoever works owns one and hands it down: what it holds, on a GPU too, is let go
    with it. A copy that is sent to another process starts empty.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.results: defaultdict[object, OrderedDict[Any, Any]] = defaultdict(
            OrderedDict
        )

    def __reduce__(self) -> tuple[type["Cache"], tuple[()]]:
        """Pickle without the results."""
        return Cache, ()


def cached(
    count: int | None = None,
) -> Callable[[Cached[Key, Result]], Cached[Key, Result]]:
    """Keep a function's last results in the `Cache` that is its first argument.

    `count` of them, by default all; what was used least recently goes first.
    """

    def decorate(make: Cached[Key, Result]) -> Cached[Key, Result]:
        @wraps(make)
        def find(cache: Cache, /, *args: Key.args, **named: Key.kwargs) -> Result:
            results, key = cache.results[make], (args, tuple(sorted(named.items())))
            if key not in results:
                result = make(cache, *args, **named)
                while count is not None and len(results) >= count:
                    results.popitem(last=False)
                results[key] = result
            results.move_to_end(key)
            found: Result = results[key]
            return found

        return find

    return decorate
