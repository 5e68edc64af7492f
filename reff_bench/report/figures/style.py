"""How figures look: sizes, fonts, one colour and marker per method."""

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib import style
from matplotlib.figure import Figure

from reff_bench.catalog import known_method, method_title

FONT = "DejaVu Sans"  # comes with matplotlib: the same on every machine
WIDTH = 7.16  # inches: a page of two columns
SMALL = 6.5  # pt: the smallest text, at print size
DPI = 160
# Neither dates nor versions: the same records give the same files.
METADATA = {
    "pdf": {"Creator": "reff-bench", "Producer": None, "CreationDate": None},
    "png": {"Software": None},
}
_SETTINGS: dict[str, Any] = {
    "figure.dpi": DPI,
    "font.family": FONT,
    "text.parse_math": False,  # a name's dollar signs are no formula
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "image.composite_image": False,  # each tile at its own resolution
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a method is drawn.

    Attributes:
        color: of Okabe & Ito's palette, apart for the colour-blind too.
        marker: matplotlib's sign for it.
        line: matplotlib's style.
    """

    color: str
    marker: str
    line: Literal["-", "--", "-.", ":"]


_LOOKS = {
    "baseline": Look("#000000", "s", "-"),
    "reff": Look("#0072B2", "o", "-"),
    "reff_l1": Look("#E69F00", "^", "-"),
    "reff_l2": Look("#D55E00", "v", "-"),
    "abn": Look("#009E73", "D", "-"),
    "abn_plain": Look("#009E73", "d", ":"),
    "reff_plus": Look("#CC79A7", "P", "--"),
    "background_swap": Look("#56B4E9", "X", "--"),
}
_FURTHER = tuple(
    Look(color, marker, "-.")
    for color, marker in (("#666666", "*"), ("#882255", "<"), ("#999933", ">"))
)


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Return how each method is drawn: the same in every figure of a grid."""
    own = [name for name in methods if name not in _LOOKS]
    further = {name: _FURTHER[place % len(_FURTHER)] for place, name in enumerate(own)}
    return {name: _LOOKS.get(name) or further[name] for name in methods}


def title_of(method: str) -> str:
    """Return a method's title, with a word where it is ours."""
    title = method_title(method)
    return f"{title} (ours)" if known_method(method).mark == "ours" else title


def label_of(method: str) -> str:
    """Return the title in short lines, for a narrow place."""
    return textwrap.fill(title_of(method).replace("_", " "), 10)


@contextmanager
def drawing_style() -> Iterator[None]:
    """Draw in our style, whatever the user's matplotlibrc says."""
    with style.context(["default", _SETTINGS]):
        yield


def render(figure: Figure, kind: str) -> bytes:
    """Return a figure as a file's bytes.

    Args:
        figure: drawn in `drawing_style`.
        kind: `pdf` or `png`.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=METADATA[kind])
    return buffer.getvalue()
