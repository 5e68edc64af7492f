"""Images of one sample as small square tiles, pure.

A tile is (T, T, 3) float32 in [0, 1]; a map is (h, w) float32 >= 0 of any size; a mask
is (S, S) uint8 in {0, 1}.
"""

from typing import Any, TypeAlias

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

Floats: TypeAlias = NDArray[np.float32]
TILE = 128  # px of a tile, about
HEAT = "inferno"  # rises evenly in lightness: readable in gray and to the color-blind
OPACITY = 0.65  # of the heat over the image
LINE = (0.34, 0.91, 0.95)  # of a mask's outline: light, of a hue not in inferno


def tile_size(image_size: int) -> int:
    """Return T: a small image's size times a whole number, so that pixels stay even."""
    return TILE if image_size > TILE else image_size * round(TILE / image_size)


def image_tile(image: NDArray[np.uint8]) -> Floats:
    """Return an image, (S, S, 3) uint8 in [0, 255], as a tile."""
    size = tile_size(len(image))
    shrinks = size < len(image)
    how = Image.Resampling.LANCZOS if shrinks else Image.Resampling.NEAREST
    scaled = Image.fromarray(image).resize((size, size), how)
    return np.asarray(scaled, np.float32) / np.float32(255)


def mask_tile(mask: NDArray[Any]) -> Floats:
    """Return a mask, hard or soft, (S, S) in [0, 1], as a gray tile."""
    gray = np.round(255 * np.asarray(mask, np.float64)).astype(np.uint8)
    return image_tile(np.repeat(gray[..., None], 3, axis=2))


def outlined(tile: Floats, mask: NDArray[Any]) -> Floats:
    """Return a tile with the outline of a mask on it."""
    inside = mask_tile(mask)[..., 0] >= 0.5
    padded = np.pad(inside, 1)
    shifts = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    edge = inside & ~np.logical_and.reduce(shifts)
    return np.where(edge[..., None], np.array(LINE, np.float32), tile)


def annotated_tile(image: NDArray[np.uint8], mask: NDArray[Any]) -> Floats:
    """Return an image, dark outside its mask, with the mask's outline."""
    inside = mask_tile(mask)[..., :1] >= 0.5
    tile = image_tile(image)
    return outlined(np.where(inside, tile, np.float32(0.3) * tile), mask)


def heat_tile(image: NDArray[np.uint8], heat: NDArray[Any]) -> Floats:
    """Return a map, divided by its maximum, as colors over the image in gray.

    An empty map leaves the lowest color everywhere.
    """
    below = image_tile(image).mean(axis=2, keepdims=True)
    above = enlarge(heat, len(below))
    highest = above.max()
    relative = above / highest if highest > 0 else above
    colors = colormaps[HEAT](relative)[..., :3].astype(np.float32)
    mixed: Floats = np.float32(1 - OPACITY) * below + np.float32(OPACITY) * colors
    return mixed


def enlarge(heat: NDArray[Any], size: int) -> Floats:
    """Return a map as (size, size), bilinear with half-pixel centers, edges clamped."""
    image = Image.fromarray(np.asarray(heat, np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def energy_in(heat: NDArray[Any], mask: NDArray[Any]) -> float | None:
    """Return the energy pointing game sum(m G) / sum(G); None for an empty map."""
    wide = enlarge(heat, len(mask)).astype(np.float64)
    total = float(wide.sum())
    return float((wide * mask).sum()) / total if total > 0 else None


def overlap(soft: NDArray[Any], mask: NDArray[Any]) -> float:
    """Return the IoU of a soft mask, cut at one half, and a mask with some pixel."""
    cut = np.asarray(soft) >= 0.5
    true = np.asarray(mask) > 0
    return float((cut & true).sum()) / float((cut | true).sum())
