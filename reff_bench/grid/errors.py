"""The error of a grid that can't be run, with the place and the near matches."""

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches


class GridError(ValueError):
    """A grid that can't be run: says the place, the value and what is allowed."""


LONGEST = 200  # characters of a value in a message


def shown(value: object) -> str:
    """Return a value as a message shows it: in one line, and not too long."""
    return shown_text(_SHORT.repr(value))


def shown_text(text: str) -> str:
    """Return a text in one printable line, and not too long."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:LONGEST])
    return line if len(text) <= LONGEST else f"{line}..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = LONGEST
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20
_SHORT.maxlong = 60


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Say that a name is unknown, which one may be meant and which are known."""
    names = list(known)
    near = get_close_matches(str(name)[:LONGEST], names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {shown(name)}{hint} (known: {', '.join(names)})"
