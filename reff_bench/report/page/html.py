"""HTML whose text can't be forgotten to be escaped."""

from collections.abc import Iterable, Sequence
from html import escape as escape_signs

from texturedmnist.common.text import printable

VOID = {"br", "img", "meta"}
SHORT = 3  # lines of a list that needn't be folded


class Html(str):
    """Text that is HTML already; any other text is escaped by `tag`."""

    __slots__ = ()


def tag(element: str, /, *parts: str, **attributes: str | int | None) -> Html:
    """Return an element.

    Args:
        element: its name.
        parts: its content: `Html` as it is, other text escaped.
        attributes: by name; `class_` is `class`, `aria_label` is `aria-label`; None is
            left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in VOID:
        return Html(f"<{element}{given}>")
    return Html(f"<{element}{given}>{join(parts)}</{element}>")


def join(parts: Iterable[str]) -> Html:
    """Return parts after each other, text escaped."""
    return Html("".join(p if isinstance(p, Html) else escape(p) for p in parts))


def escape(text: str) -> str:
    """Return text as HTML shows it: no elements, and no signs that turn its writing."""
    return escape_signs(printable(text, keep="\n\t"))


def items(lines: Iterable[str]) -> Html:
    """Return a list."""
    return tag("ul", *(tag("li", line) for line in lines))


def fold(summary: str, *parts: str) -> Html:
    """Return parts behind a line that opens them."""
    return tag("details", tag("summary", summary), *parts)


def short_or_folded(title: str, lines: Sequence[str]) -> Html:
    """Return a titled list, folded where it is long."""
    if len(lines) > SHORT:
        return fold(title, items(lines))
    return join([tag("p", f"{title}:"), items(lines)])


def grid(
    label: str,
    heads: Sequence[str],
    lines: Iterable[Sequence[str]],
    *,
    first: str = "th",
) -> Html:
    """Return a table in a box of its own that scrolls where it is too wide.

    Args:
        label: what the table is, for those who don't see it.
        heads: of the columns.
        lines: the entries of each row.
        first: `th` if the first column names the rows, else `td`.
    """
    head = tag("thead", tag("tr", *(tag("th", part, scope="col") for part in heads)))
    body = []
    for start, *rest in lines:
        scope = "row" if first == "th" else None
        body.append(
            tag("tr", tag(first, start, scope=scope), *(tag("td", p) for p in rest))
        )
    return scroll(label, head, tag("tbody", *body))


def scroll(label: str, *parts: str, kind: str = "") -> Html:
    """Return a table of a head and a body in its scrolling box."""
    return tag(
        "div",
        tag("table", *parts),
        class_=f"scroll {kind}".rstrip(),
        role="region",
        aria_label=label,
        tabindex=0,
    )
