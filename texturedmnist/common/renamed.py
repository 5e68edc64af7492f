"""Old names of the public interface, which still work for a release."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def warn_renamed(old: str, new: str, level: int = 3) -> None:
    """Say that a name has changed; `level` is the `stacklevel` of `warnings.warn`."""
    message = f"{old} is now called {new}; the old name goes with the next release"
    warnings.warn(message, FutureWarning, stacklevel=level)


def renamed_method(old: str, new: str) -> Callable[..., Any]:
    """Return a method that calls the one of the new name."""

    def method(self: object, *args: object, **kwargs: object) -> Any:  # noqa: ANN401
        warn_renamed(old, new)
        return getattr(self, new)(*args, **kwargs)

    method.__name__ = old
    method.__doc__ = f"Return what `{new}` returns; the old name of it."
    return method


def renamed_argument(old: str, new: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for functions whose keyword argument has a new name."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if old in kwargs:
                warn_renamed(f"the argument {old}", new)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
