"""Colours: any tone from dark to light, whatever the texture's class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from texturedmnist.sources.procedural.canvas import Field, RandomStream

LEVELS = 256  # tones that are told apart
STOPS = 4  # colors of a palette, from dark to light
# Lightness of the darkest and the lightest tone: dim, bright and full palettes, so that
# two textures differ in their means often enough for a digit to stand out.
KEYS = ((0.02, 0.62), (0.3, 0.97), (0.06, 0.94))

Color = tuple[float, float, float]


def make_palette(dice: RandomStream) -> NDArray[np.uint8]:
    """Draw a palette: (256, 3) uint8 RGB, its lightness rising with the tone."""
    low, high = KEYS[dice.whole(0, len(KEYS) - 1)]
    hue, spread = dice.between(0.0, 1.0), dice.between(0.02, 0.5)
    stops = []
    for k in range(STOPS):
        tint = hue + spread * dice.between(-0.5, 0.5)
        color = _vivid(tint, dice.between(0.05, 0.75))
        stops.append(_at_lightness(color, low + (high - low) * k / (STOPS - 1)))
    return _ramp_through(stops)


def color_tones(tone: Field, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour tones in [0, 1]: (H, W) -> (H, W, 3) uint8."""
    level = np.floor(tone * float(LEVELS)).astype(np.int64)
    return palette.take(level, axis=0, mode="clip")


def _vivid(hue: float, saturation: float) -> Color:
    """Return an RGB color of full value; hue in turns."""
    parts = [
        min(max(abs((hue + shift) % 1.0 * 6.0 - 3.0) - 1.0, 0.0), 1.0)
        for shift in (0.0, 2 / 3, 1 / 3)
    ]
    red, green, blue = (1.0 - saturation * (1.0 - part) for part in parts)
    return red, green, blue


def _at_lightness(color: Color, lightness: float) -> Color:
    """Darken a color, or mix it with white, to this lightness (Rec. 601 luma)."""
    luma = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    if luma > lightness:
        red, green, blue = (part * lightness / luma for part in color)
    else:
        white = (lightness - luma) / (1.0 - luma) if luma < 1.0 else 0.0
        red, green, blue = (part + (1.0 - part) * white for part in color)
    return red, green, blue


def _ramp_through(stops: Sequence[Color]) -> NDArray[np.uint8]:
    place = np.arange(LEVELS, dtype=np.float64) / (LEVELS - 1) * (len(stops) - 1)
    at = np.minimum(np.floor(place).astype(np.int64), len(stops) - 2)
    share = (place - at.astype(np.float64))[:, None]
    table = np.array(stops, np.float64)
    colors = table[at] + (table[at + 1] - table[at]) * share
    palette: NDArray[np.uint8] = np.floor(colors * 255.0 + 0.5).astype(np.uint8)
    return palette
