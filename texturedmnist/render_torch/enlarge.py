"""Digits enlarged along one axis, in whole numbers: `Taps`, `enlarge_axis`."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from texturedmnist.compose import SOURCE_SIZE, axis_weights

EXACT_INT32 = 2**31  # int32 holds every sum below


@dataclass(frozen=True, slots=True)
class Taps:
    """The neighbours and weights of an axis of an enlarged digit.

    The tensors are (size + 1,): the last entry stands for pixels beside the digit's
    square, whose weights are zero.

    Attributes:
        size: of the enlarged digit, px.
        half: what a pixel's sum over both axes must reach to be painted.
        lower: int64 in [0, 27], the one neighbour.
        upper: int64 in [0, 27], the other; the same one where there is none.
        lower_weight: whole numbers out of `d`.
        upper_weight: whole numbers out of `d`.
    """

    size: int
    half: int
    lower: Tensor
    upper: Tensor
    lower_weight: Tensor
    upper_weight: Tensor


def make_taps(size: int, device: torch.device) -> Taps:
    """Find the two neighbours in each row of the weights.

    Args:
        size: of the enlarged digit, px.
        device: where they are needed.
    """
    floats, half = axis_weights(size)
    weights = floats.astype(np.int64)
    lower = (weights > 0).argmax(1)
    upper = SOURCE_SIZE - 1 - (weights[:, ::-1] > 0).argmax(1)
    lower_weight = weights[np.arange(size), lower]
    upper_weight = weights.sum(1) - lower_weight
    # No sum exceeds twice the threshold.
    kind = np.int32 if 2 * half < EXACT_INT32 else np.int64
    arrays = lower, upper, lower_weight.astype(kind), upper_weight.astype(kind)
    padded = (torch.from_numpy(np.append(a, a.dtype.type(0))) for a in arrays)
    return Taps(size, half, *(one.to(device) for one in padded))


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
        values.gather(dim, neighbour[entries].expand(shape))
        for neighbour in (taps.lower, taps.upper)
    )
    product = lower * taps.lower_weight[entries]
    return product.addcmul_(upper.to(product.dtype), taps.upper_weight[entries])
