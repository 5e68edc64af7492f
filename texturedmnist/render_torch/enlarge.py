"""Digits enlarged along one axis, in whole numbers: `Taps`, `enlarge_axis`."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from texturedmnist.compose import SOURCE_SIZE, axis_weights

EXACT_INT32 = 2**31  # int32 holds every sum below


@dataclass(frozen=True, slots=True)
class Taps:
    """The neighbors and weights of an axis of an enlarged digit.

    The last entries stand for pixels beside the digit's square: their weights are zero.

    Attributes:
        size: of the enlarged digit, px.
        half: what a pixel's sum over both axes must reach to be painted.
        neighbors: (2, size + 1) int64 in [0, 27], the lower and the upper one.
        weights: (2, size + 1) theirs, whole numbers out of `d`.
    """

    size: int
    half: int
    neighbors: Tensor
    weights: Tensor


def make_taps(size: int, device: torch.device) -> Taps:
    """Find the two neighbors in each row of the weights."""
    floats, half = axis_weights(size)
    weights = floats.astype(np.int64)
    lower = (weights > 0).argmax(1)
    upper = SOURCE_SIZE - 1 - (weights[:, ::-1] > 0).argmax(1)
    lower_weight = weights[np.arange(size), lower]
    upper_weight = weights.sum(1) - lower_weight
    neighbors = np.pad(np.stack([lower, upper]), ((0, 0), (0, 1)))
    shares = np.pad(np.stack([lower_weight, upper_weight]), ((0, 0), (0, 1)))
    # No sum exceeds twice the threshold.
    kind = np.int32 if 2 * half < EXACT_INT32 else np.int64
    return Taps(
        size,
        half,
        torch.from_numpy(neighbors).to(device),
        torch.from_numpy(shares.astype(kind)).to(device),
    )


def enlarge_axis(values: Tensor, taps: Taps, places: Tensor, dim: int) -> Tensor:
    """Enlarge along one axis, in units of 1 / d.

    Gathers of whole numbers rather than a product of matrices: exact without float64,
    which many GPUs compute at a 32nd or 64th of their speed.

    Args:
        values: (n, H, W) of whole numbers.
        taps: see there.
        places: (n, S) int64, each image pixel's place on the digit's axis, in or out.
        dim: 1 or 2, the axis.
    """
    outside = (places < 0) | (places >= taps.size)
    # `where` with a number would copy it to the device, and wait for it.
    entries = places.masked_fill(outside, taps.size).unsqueeze(3 - dim)
    shape = list(values.shape)
    shape[dim] = places.shape[1]
    lower, upper = (
        values.gather(dim, neighbor.expand(shape))
        for neighbor in taps.neighbors[:, entries].unbind()
    )
    lower_weight, upper_weight = taps.weights[:, entries].unbind()
    product = lower * lower_weight
    return product.addcmul_(upper.to(product.dtype), upper_weight)
