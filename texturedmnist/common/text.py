"""Text for people: values in one line, near matches of a name, columns."""

import reprlib
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LONGEST = 200  # characters of a value in a message
# Control characters, halves of pairs (bytes that are no UTF-8), and those that turn
# the direction of writing: a name of them can rewrite what a terminal shows.
UNSAFE = ("Cc", "Cs")
TURNING = frozenset(
    map(chr, (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)


def printable(text: str, keep: str = "") -> str:
    r"""Return text with what a terminal would obey written out, as `\x1b`.

    Names of folders and files are anybody's. `keep` lets control characters through.
    """
    if text.isprintable():  # nearly all texts: a page has thousands of them
        return text

    def write(sign: str) -> str:
        unsafe = sign in TURNING or unicodedata.category(sign) in UNSAFE
        if sign in keep or not unsafe:
            return sign
        return sign.encode("unicode_escape", "surrogatepass").decode()

    return "".join(map(write, text))


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
    return (
        f"unknown {kind} {shown(name)}{near(name, names)} (known: {', '.join(names)})"
    )


def near(name: object, known: Sequence[str]) -> str:
    """Return `; did you mean 'x'?`, or nothing if no name is close."""
    found = get_close_matches(str(name)[:LONGEST], known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def align(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Pad every column to its widest cell; its cells stand at its side, `<` or `>`.

    >>> align([("a", "1"), ("bcd", "20")], "<>")
    ['a     1', 'bcd  20']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:{side}{width}}"
            for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
