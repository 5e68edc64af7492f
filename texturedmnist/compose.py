"""Pixels of planned samples, pure."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from texturedmnist.plan import SamplePlan, TexturePlan
from texturedmnist.sources import Sources, TextureBank

PIXEL = np.dtype("V3")  # an RGB pixel moved as one unit: masked copies run 20x faster
EXACT_FLOAT32 = 2**24  # float32 holds every whole number up to here
SOURCE_SIZE = 28  # height and width of a digit image in px
# OpenBLAS starts threads past so many products in one matrix product. Here they would
# fight with the other processes for the cores, and gain nothing.
SERIAL_PRODUCTS = 2**18
ROWS_AT_ONCE = 7  # a divisor of 28 that keeps below it up to 1,337 px


def compose(
    plan: SamplePlan,
    sources: Sources,
    out: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint each digit's texture over its background.

    Args:
        plan: n samples.
        sources: the digits and textures that the plan's numbers point into.
        out: (images, masks) to fill instead of new arrays; C-contiguous.

    Returns:
        images: (n, S, S, 3) uint8 RGB in [0, 255], S = the background's crop size.
        masks: (n, S, S) uint8, 1 exactly where the digit's texture was painted.
    """
    inside, outside = plan.digit_texture, plan.background_texture
    images, masks = out or empty_samples(len(plan), outside.size)
    digits = _between_columns(sources.digits.images[plan.digit], inside.size)
    if inside.size < outside.size:
        masks[...] = 0
    for k in range(len(plan)):
        canvas = _pixels(images[k])
        canvas[...] = _crop(sources.background_textures, outside, k)
        square = _square(plan.y[k], plan.x[k], inside.size)
        painted = masks[k][square].view(np.bool_)
        _between_rows(digits[k], painted)
        texture = _crop(sources.digit_textures, inside, k)
        np.copyto(canvas[square], texture, where=painted)
    return images, masks


def empty_samples(
    count: int, image_size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return uninitialized images (n, S, S, 3) and masks (n, S, S), both uint8."""
    masks = np.empty((count, image_size, image_size), np.uint8)
    return np.empty((*masks.shape, 3), np.uint8), masks


def enlarge_digits(digits: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """Enlarge digits bilinearly and keep what reaches half of 255, exactly.

    Half-pixel centers, edges clamped. The weights of an axis are whole numbers out of
    `d = 2 * size / g`, so that the result doesn't depend on the machine:
    `2 * sum >= 255 * d**2`.

    Args:
        digits: (n, 28, 28) uint8 in [0, 255].
        size: height and width of the result in px, >= 28.

    Returns:
        (n, size, size) bool.
    """
    masks = np.empty((len(digits), size, size), np.bool_)
    for mask, columns in zip(masks, _between_columns(digits, size), strict=True):
        _between_rows(columns, mask)
    return masks


@lru_cache(maxsize=8)
def axis_weights(size: int) -> tuple[NDArray[np.floating], int]:
    """Return the (size, 28) whole-number weights and the threshold on their sum.

    Args:
        size: height and width of the enlarged digit in px, >= 28.

    Returns:
        weights: (size, 28) whole numbers as floats that hold every sum exactly; at most
            two neighbors in a row aren't zero.
        half: a digit's pixel is painted where the sum over both axes reaches it.
    """
    position = SOURCE_SIZE * (2 * np.arange(size) + 1) - size
    lower, upper_weight = np.divmod(position, 2 * size)
    divisor = int(np.gcd.reduce(upper_weight, initial=2 * size))
    parts = 2 * size // divisor
    weights = np.zeros((size, SOURCE_SIZE), np.int64)
    rows, last = np.arange(size), SOURCE_SIZE - 1
    np.add.at(weights, (rows, lower.clip(0, last)), parts - upper_weight // divisor)
    np.add.at(weights, (rows, (lower + 1).clip(0, last)), upper_weight // divisor)
    exact = np.float32 if 255 * parts**2 < EXACT_FLOAT32 else np.float64
    return weights.astype(exact), (255 * parts**2 + 1) // 2


def _between_columns(digits: NDArray[np.uint8], size: int) -> NDArray[np.floating]:
    """Enlarge along the columns: (n, 28, size), in units of 1 / d."""
    weights, _ = axis_weights(size)
    rows = digits.astype(weights.dtype).reshape(-1, ROWS_AT_ONCE, SOURCE_SIZE)
    columns: NDArray[np.floating] = rows @ weights.T
    return columns.reshape(len(digits), SOURCE_SIZE, size)


def _between_rows(columns: NDArray[np.floating], mask: NDArray[np.bool_]) -> None:
    """Enlarge along the rows, compare with half of 255 and write into the mask."""
    size = len(mask)
    sums = (_weight_blocks(size) @ columns).reshape(-1, size)[:size]
    np.greater_equal(sums, axis_weights(size)[1], out=mask)


@lru_cache(maxsize=8)
def _weight_blocks(size: int) -> NDArray[np.floating]:
    """Return the weights in blocks of rows, (blocks, rows, 28), padded with zeros."""
    weights, _ = axis_weights(size)
    blocks = -(-size * size * SOURCE_SIZE // SERIAL_PRODUCTS)
    rows = -(-size // blocks)
    padded = np.zeros((blocks * rows, SOURCE_SIZE), weights.dtype)
    padded[:size] = weights
    return padded.reshape(blocks, rows, SOURCE_SIZE)


def _crop(bank: TextureBank, plan: TexturePlan, k: int) -> NDArray[np.void]:
    """Return the planned crop of sample k as (size, size) whole pixels, not copied."""
    return _pixels(bank.image(plan.file[k]))[_square(plan.y[k], plan.x[k], plan.size)]


def _square(y: int, x: int, size: int) -> tuple[slice, slice]:
    return slice(y, y + size), slice(x, x + size)


def _pixels(image: NDArray[np.uint8]) -> NDArray[np.void]:
    """View (H, W, 3) uint8 as (H, W) whole pixels."""
    return image.view(PIXEL)[..., 0]
