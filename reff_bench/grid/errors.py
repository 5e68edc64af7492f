"""The error of a grid that can't be run, with the place and the near matches."""

from collections.abc import Iterable
from difflib import get_close_matches


class GridError(ValueError):
    """A grid that can't be run: says the place, the value and what is allowed."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that a name is unknown, which one may be meant and which are known."""
    names = list(known)
    near = get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})"
