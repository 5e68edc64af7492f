"""One figure, drawn or not."""

from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure and what it lacks.

    Attributes:
        name: of its files.
        figure: None where nothing of it can be drawn.
        caption: its settings and how to read it.
        lacks: each thing that isn't there, in words.
    """

    name: str
    figure: Figure | None
    caption: str
    lacks: tuple[str, ...]


def nothing(name: str, *lacks: str) -> Drawing:
    """Return a figure that can't be drawn, and why."""
    return Drawing(name, None, "", lacks)


def joined(parts: Iterable[str]) -> str:
    """Return sentences as one text, empty ones left out."""
    return " ".join(part for part in parts if part)
