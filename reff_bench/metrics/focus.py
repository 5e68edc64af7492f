"""How well maps cover what is relevant: `focus_scores`, pure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDING = 1.0e-5  # pixels of a flat place, once enlarged, differ by that much at most


@dataclass(frozen=True, slots=True)
class FocusScores:
    """The focus of N maps, each (N,) float64 in [0, 1].

    An all-zero map points nowhere: it scores 0 in the first four, so that it counts.

    Examples:
        >>> import torch
        >>> from reff_bench import focus_scores
        >>> scores = focus_scores(torch.rand(4, 7, 7), torch.ones(4, 28, 28))
        >>> scores.pointing_game.shape
        torch.Size([4])
        >>> scores.means()["epg"]
        1.0

    Attributes:
        epg: energy pointing game (Wang et al. 2020), sum(m G) / sum(G): the share of
            the map's mass that lies in the mask; Arras et al. 2022 call it relevance
            mass accuracy.
        pointing_game: 1 where the map's maximum lies in the mask (Zhang et al. 2018);
            of several maxima one is enough.
        iou_half_max: intersection over union of the mask and the pixels of at least
            half the map's maximum.
        iou_top_area: likewise of the map's |m| highest pixels, those equal to the last
            of them included, zeros not.
        zero_map_share: 1 where the map is all zero.
        off_mask_central_share: of the map's mass off the mask, the share in the central
            quarter of the image, ours; NaN where there is no such mass.
    """

    epg: Tensor
    pointing_game: Tensor
    iou_half_max: Tensor
    iou_top_area: Tensor
    zero_map_share: Tensor
    off_mask_central_share: Tensor

    @classmethod
    def join(cls, parts: Sequence["FocusScores"]) -> "FocusScores":
        """Return the scores of several batches as one."""
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in METRICS))

    def means(self) -> dict[str, float | None]:
        """Return each score's mean by name, over the maps that have it; else None."""
        return {name: _mean(getattr(self, name)) for name in METRICS}


METRICS = tuple(field.name for field in fields(FocusScores))


def focus_scores(maps: Tensor, masks: Tensor) -> FocusScores:
    """Compare maps, enlarged bilinearly to the masks' size, with the masks.

    The scores of a uniform map, such as `torch.ones(N, 1, 1)`, are the chance levels:
    its `epg` is the mask's area.

    Examples:
        >>> import torch
        >>> from reff_bench import focus_scores
        >>> masks = torch.zeros(2, 8, 8)
        >>> masks[:, 2:6, 2:6] = 1
        >>> scores = focus_scores(torch.ones(2, 4, 4), masks)
        >>> scores.epg
        tensor([0.2500, 0.2500], dtype=torch.float64)

    Args:
        maps: (N, h, w) float, >= 0.
        masks: (N, H, W) in {0, 1} of any type, 1 = relevant; none should be empty.

    Raises:
        ValueError: the two don't fit, or a map has a negative value.
    """
    if maps.ndim != 3 or masks.ndim != 3 or len(maps) != len(masks):
        raise ValueError(
            f"maps {tuple(maps.shape)} and masks {tuple(masks.shape)}; give (N, h, w) "
            "and (N, H, W), as many of each"
        )
    if bool((maps < 0).any()):
        raise ValueError("a map has negative values; give its ReLU or its magnitude")
    large = enlarge(maps, (masks.shape[1], masks.shape[2])).flatten(1)
    inside = masks.flatten(1) != 0
    mass = large.double()
    total = mass.sum(1)
    outside = mass.masked_fill(inside, 0)
    central = central_quarter(masks).flatten()
    highest = large.amax(1, keepdim=True)
    return FocusScores(
        epg=_ratio(mass.masked_fill(~inside, 0).sum(1), total, empty=0.0),
        pointing_game=(_reach(large, highest) & inside).any(1).double(),
        iou_half_max=_iou(_reach(large, highest / 2), inside),
        iou_top_area=_iou(_top(large, inside.sum(1)), inside),
        zero_map_share=(total == 0).double(),
        off_mask_central_share=_ratio(
            outside[:, central].sum(1), outside.sum(1), empty=torch.nan
        ),
    )


def enlarge(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps (N, H, W), interpolated bilinearly (half-pixel centers)."""
    if maps.shape[1:] == size:
        return maps
    large = F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)
    return large.squeeze(1)


def central_quarter(masks: Tensor) -> Tensor:
    """Return (H, W) bool: the window of half the height and width in the middle."""
    H, W = masks.shape[1:]
    y, x = (_is_central(side, masks.device) for side in (H, W))
    return y[:, None] & x


def _is_central(side: int, device: torch.device) -> Tensor:
    """Return which pixels' centers lie within a quarter of the side of the middle."""
    # Four times the distance, so that whole numbers are compared.
    distance = (4 * torch.arange(side, device=device) + 2 - 2 * side).abs()
    return distance <= side


def _top(large: Tensor, count: Tensor) -> Tensor:
    """Return the pixels as high as the `count`-th highest of each map; (N, P) bool."""
    ordered = large.sort(1, descending=True).values
    return _reach(large, ordered.gather(1, (count - 1).clamp_min(0)[:, None]))


def _reach(large: Tensor, bound: Tensor) -> Tensor:
    """Return the pixels, but zeros, that are as high as a bound; (N, P) bool."""
    return (large >= bound * (1 - ROUNDING)) & (large > 0)


def _iou(region: Tensor, inside: Tensor) -> Tensor:
    both, either = (region & inside).sum(1), (region | inside).sum(1)
    return _ratio(both.double(), either.double(), empty=0.0)


def _ratio(part: Tensor, whole: Tensor, *, empty: float) -> Tensor:
    return torch.where(whole > 0, part / whole.where(whole > 0, 1.0), empty)


def _mean(values: Tensor) -> float | None:
    known = values[~values.isnan()]
    return float(known.mean()) if len(known) else None
