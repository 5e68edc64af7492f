"""How figures look: sizes, fonts, one color and marker per method."""

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from fontTools import subset
from matplotlib import font_manager, rc_context, style
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from reff_bench.catalog.methods import known_method, method_title

FONT = "DejaVu Sans"  # comes with matplotlib: the same on every machine
LETTERS = [*range(0x20, 0x250), *range(0x2010, 0x2040), 0x2212]  # Latin, minus
WIDTH = 7.16  # inches: a page of two columns
SMALL = 6.5  # pt: the smallest text, at print size
DPI = 160
PAD = 0.04  # inches around a figure
# Neither dates nor versions: the same records give the same files.
SAVED: dict[str, dict[str, Any]] = {
    "pdf": {
        "metadata": {"Creator": "reff-bench", "Producer": None, "CreationDate": None}
    },
    # Twice as fast as usual, and a tenth larger.
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
}
_SETTINGS: dict[str, Any] = {
    "figure.dpi": DPI,
    "figure.titlesize": 10.0,
    "figure.titleweight": "normal",  # a bold font more makes a PDF take a third longer
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.constrained_layout.h_pad": 0.03,
    "font.family": FONT,
    "text.parse_math": False,  # a name's dollar signs are no formula
    "font.size": 7.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "legend.frameon": False,
    "legend.labelspacing": 0.35,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "image.interpolation": "none",
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
}


class LineStyle(NamedTuple):
    """How a method's lines are drawn, as matplotlib's arguments.

    Colors are of Okabe & Ito's palette, apart for the color-blind too.
    """

    color: str
    marker: str
    linestyle: Literal["-", "--", "-.", ":"]


_STYLES = {
    "baseline": LineStyle("#000000", "s", "-"),
    "reff": LineStyle("#0072B2", "o", "-"),
    "reff_l1": LineStyle("#E69F00", "^", "-"),
    "reff_l2": LineStyle("#D55E00", "v", "-"),
    "abn": LineStyle("#009E73", "D", "-"),
    "abn_plain": LineStyle("#009E73", "d", ":"),
    "reff_plus": LineStyle("#CC79A7", "P", "--"),
    "background_swap": LineStyle("#56B4E9", "X", "--"),
}
_FURTHER = tuple(
    LineStyle(color, marker, "-.")
    for marker in "*<>phH"
    for color in ("#666666", "#882255", "#999933")
)


def line_styles(methods: Sequence[str]) -> dict[str, LineStyle]:
    """Return how each method is drawn: the same in every figure of a grid."""
    own = [name for name in methods if name not in _STYLES]
    further = dict(zip(own, cycle(_FURTHER), strict=False))
    return {name: _STYLES.get(name) or further[name] for name in methods}


def title_of(method: str) -> str:
    """Return a method's title, with a word where it is ours."""
    title = method_title(method)
    return f"{title} (ours)" if known_method(method).mark == "ours" else title


def label_of(method: str) -> str:
    """Return the title in short lines, for a narrow column."""
    return textwrap.fill(title_of(method).replace("_", " "), 10)


@contextmanager
def drawing_style() -> Iterator[None]:
    """Draw in our style, whatever the user's matplotlibrc says."""
    fonts = font_manager.fontManager.ttflist
    with TemporaryDirectory() as folder:
        # A name of its own each time: matplotlib remembers a name's file.
        light = font_manager.FontEntry(_light_font(Path(folder)), name=folder)
        fonts.append(light)
        try:
            family = {"font.family": [folder, FONT]}  # the second for what isn't in it
            with style.context(["default", _SETTINGS, family]):
                yield
        finally:
            fonts.remove(light)


def _light_font(folder: Path) -> str:
    """Write the letters that figures need of our font, and return the file.

    A PDF's own letters are cut out of this in a fraction of the time that all of the
    font takes, with its other scripts.
    """
    path = folder / "light.ttf"
    options = subset.Options(layout_features=["kern", "liga"], glyph_names=True)
    options.drop_tables += ["FFTM"]  # a date of FontForge's
    with subset.load_font(font_manager.findfont(FONT), options) as font:
        cut = subset.Subsetter(options)
        cut.populate(unicodes=LETTERS)
        cut.subset(font)
        font.save(path)
    return str(path)


def render(figure: Figure, kinds: Sequence[str]) -> list[bytes]:
    """Return a figure, drawn in `drawing_style`, as the bytes of a `pdf` or a `png`."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    # One layout serves all kinds; with an engine each would be laid out once more. Each
    # saving sets the engine again, by these settings.
    with rc_context({"figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)
        # What the layout leaves empty is cut off, and no text.
        box = figure.get_tightbbox().padded(PAD)
        return [_saved(figure, kind, box) for kind in kinds]


def _saved(figure: Figure, kind: str, box: Bbox) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, bbox_inches=box, **SAVED[kind])
    return buffer.getvalue()
