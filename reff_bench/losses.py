"""Penalties on explanations and attention maps; pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

Normalization = Literal["max", "none", "sum"]
Norm = Literal["rms", "squared", "l1"]
Pooling = Literal["max", "area"]
Choice = TypeVar("Choice")


def normalize_maps(
    maps: Tensor, kind: Normalization = "max", eps: float = 1e-6
) -> Tensor:
    """Ghat of one layer: every image's map on a common scale, gradient kept.

    "max" [assumed]: Ghat = G / max |G|, because the L1 and L2 variants compare with
    {0, 1}. "sum": G / sum |G|. "none": G itself. A divisor under `eps` is replaced by
    it, so an all-zero map stays zero.

    Args:
        maps: (N, H, W) float, of any sign.
        kind: The divisor.
        eps: The smallest divisor.

    Returns:
        (N, H, W) float; for "max" in [-1, 1], and in [0, 1] if the maps are >= 0.

    Raises:
        ValueError: If the kind is unknown.
    """
    divisors: Mapping[str, Callable[[Tensor], Tensor] | None] = {
        "max": lambda size: size.amax((1, 2), keepdim=True),
        "none": None,
        "sum": lambda size: size.sum((1, 2), keepdim=True),
    }
    divisor = _choose("normalization", kind, divisors)
    return maps if divisor is None else maps / divisor(maps.abs()).clamp_min(eps)


def pool_mask(mask: Tensor, size: tuple[int, int], kind: Pooling = "max") -> Tensor:
    """A mask at the size of a map.

    "max": a cell is as relevant as its most relevant pixel; "area": its mean. Sizes
    that don't divide give cells that overlap by a pixel, as adaptive pooling does.

    Args:
        mask: (N, H, W) float in [0, 1].
        size: (h, w) of the map.
        kind: How a cell is made of its pixels.

    Returns:
        (N, h, w) float in [0, 1].

    Raises:
        ValueError: If the kind is unknown, or the mask has another number of axes.
    """
    poolings: Mapping[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
        "max": F.adaptive_max_pool2d,
        "area": F.adaptive_avg_pool2d,
    }
    pool = _choose("pooling", kind, poolings)
    if mask.ndim != 3:
        raise ValueError(f"the mask has shape {tuple(mask.shape)}; allowed: (N, H, W)")
    return pool(mask, size)


def outside_penalty(
    maps: Sequence[Tensor],
    mask: Tensor,
    *,
    normalization: Normalization = "max",
    norm: Norm = "rms",
    pooling: Pooling = "max",
) -> Tensor:
    """ReFF: explanations outside the relevant region, of several layers.

    Adachi & Yamaguchi 2022, Eq. 3. [paper] The norm of the masked Grad-CAM itself,
    over several layers. [assumed] Its form and every default:

        L_exp = sum_l || (1 - M_l) * Ghat^l ||

    with Ghat^l = `normalize_maps(maps[l])` and M_l = `pool_mask(mask)` by *max*: a cell
    is irrelevant only if it holds no relevant pixel. "rms" is the 2-norm over sqrt(HW),
    whose gradient at zero is zero; "squared" the mean square (Ross et al. 2017 square
    theirs); "l1" the mean of absolute values.

    Examples:
        >>> import torch
        >>> from reff_bench import outside_penalty
        >>> mask = torch.zeros(1, 8, 8)
        >>> mask[:, :4] = 1
        >>> inside = mask[:, ::2, ::2]  # a map (1, 4, 4) that lies in the mask
        >>> outside_penalty([inside], mask), outside_penalty([1 - inside], mask)
        (tensor(0.), tensor(0.7071))

    Args:
        maps: (N, H_l, W_l) float each, see `reff_bench.explain.grad_cam`.
        mask: (N, H, W) float in [0, 1], 1 = relevant.
        normalization: See `normalize_maps`.
        norm: See above.
        pooling: See `pool_mask`.

    Returns:
        Scalar >= 0: the mean over the batch, summed over the layers.

    Raises:
        ValueError: If an option is unknown, there is no map, or batches differ.
    """
    _check(maps, mask)
    measure = _choose("norm", norm, NORMS)
    terms = [
        measure(
            (1 - pool_mask(mask, _size(one), pooling))
            * normalize_maps(one, normalization)
        ).mean()
        for one in maps
    ]
    return torch.stack(terms).sum()


def difference_penalty(
    maps: Sequence[Tensor],
    mask: Tensor,
    *,
    p: Literal[1, 2],
    normalization: Normalization = "max",
    pooling: Pooling = "area",
) -> Tensor:
    """ReFF (L1) and ReFF (L2): the distance of the maps from the annotation.

    [paper] The norm of the difference between annotation and Grad-CAM, same layers as
    ReFF. [assumed] Its form, and every default:

        L1 / L2 = sum_l || M_l - Ghat^l ||_p

    with Ghat^l = `normalize_maps(maps[l])`, M_l = `pool_mask(mask)` by *area*, and the
    norm over the map's size: the mean absolute for p = 1, the RMS for p = 2.

    Examples:
        >>> import torch
        >>> from reff_bench import difference_penalty
        >>> mask = torch.zeros(1, 8, 8)
        >>> mask[:, :4] = 1
        >>> difference_penalty([torch.zeros(1, 4, 4)], mask, p=1)
        tensor(0.5000)

    Args:
        maps: (N, H_l, W_l) float each, see `reff_bench.explain.grad_cam`.
        mask: (N, H, W) float in [0, 1], 1 = relevant.
        p: 1 or 2.
        normalization: See `normalize_maps`.
        pooling: See `pool_mask`.

    Returns:
        Scalar >= 0: the mean over the batch, summed over the layers.

    Raises:
        ValueError: If an option is unknown, there is no map, or batches differ.
    """
    _check(maps, mask)
    measure = _choose("p", p, {1: _mean_absolute, 2: _rms})
    terms = [
        measure(
            pool_mask(mask, _size(one), pooling) - normalize_maps(one, normalization)
        ).mean()
        for one in maps
    ]
    return torch.stack(terms).sum()


def attention_penalty(
    attention: Tensor, mask: Tensor, *, pooling: Pooling = "area"
) -> Tensor:
    """ABN's map loss: the L2 error between attention map and annotation [paper].

    [assumed] As the mean square, with the mask's area mean at the map's size.

    Examples:
        >>> import torch
        >>> from reff_bench import attention_penalty
        >>> attention_penalty(torch.full((2, 1, 4, 4), 0.5), torch.ones(2, 8, 8))
        tensor(0.2500)

    Args:
        attention: (N, 1, h, w) float in [0, 1].
        mask: (N, H, W) float in [0, 1], 1 = relevant.
        pooling: See `pool_mask`.

    Returns:
        Scalar >= 0.

    Raises:
        ValueError: If the pooling is unknown, or the batches differ.
    """
    maps = attention.squeeze(1)
    _check([maps], mask)
    return F.mse_loss(maps, pool_mask(mask, _size(maps), pooling))


def zero_map_share(maps: Sequence[Tensor]) -> list[Tensor]:
    """Per layer, the share of images whose map is zero everywhere, in [0, 1].

    Such a map gives no penalty and no gradient: a loophole that is worth a log line.
    The shares of the (N, H_l, W_l) float maps are float32 scalars that stay on their
    device: a float would make a step wait for it.
    """
    return [(one.detach() == 0).flatten(1).all(1).float().mean() for one in maps]


def relevant_share(
    mask: Tensor, sizes: Sequence[tuple[int, int]], kind: Pooling = "max"
) -> list[Tensor]:
    """Per map size, the share of a map's cells that the pooled mask calls relevant.

    The mask is (N, H, W) float in [0, 1], the sizes (h, w), the kind as of `pool_mask`;
    a share is a scalar in [0, 1] on the mask's device.
    """
    return [pool_mask(mask, size, kind).mean() for size in sizes]


def _rms(x: Tensor) -> Tensor:
    # vector_norm has gradient 0 at 0; a square root of one's own has NaN.
    size: Tensor = torch.linalg.vector_norm(x, dim=(1, 2))
    return size / math.sqrt(x[0].numel())


def _mean_square(x: Tensor) -> Tensor:
    return x.square().mean((1, 2))


def _mean_absolute(x: Tensor) -> Tensor:
    return x.abs().mean((1, 2))


NORMS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "rms": _rms,
    "squared": _mean_square,
    "l1": _mean_absolute,
}


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[1], maps.shape[2]


Key = TypeVar("Key", str, int)


def _choose(name: str, value: Key, choices: Mapping[Key, Choice]) -> Choice:
    if value not in choices:
        allowed = ", ".join(str(one) for one in choices)
        raise ValueError(f"{name} is {value!r}; allowed: {allowed}")
    return choices[value]


def _check(maps: Sequence[Tensor], mask: Tensor) -> None:
    if not maps:
        raise ValueError("there is no map to penalize; give one layer or more")
    for one in maps:
        if one.ndim != 3 or len(one) != len(mask):
            raise ValueError(
                f"a map has shape {tuple(one.shape)} beside a mask of shape "
                f"{tuple(mask.shape)}; allowed: (N, h, w) beside (N, H, W)"
            )
