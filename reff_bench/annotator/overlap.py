"""How well predicted masks fit the true ones: `iou_dice`, pure."""

from torch import Tensor

from reff_bench.annotator.options import AnnotatorError


def iou_dice(
    predicted: Tensor, true: Tensor, threshold: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Return intersection over union, and Dice's coefficient, of every image.

    An empty prediction for an empty true mask is right: both are 1. If only one of the
    two is empty, both are 0.

    Args:
        predicted: (N, H, W) or (N, 1, H, W) soft masks in [0, 1].
        true: (N, H, W) or (N, 1, H, W) in {0, 1}, any type.
        threshold: a pixel is predicted where the soft mask reaches it.

    Returns:
        IoU and Dice, each (N,) float64 in [0, 1].

    Raises:
        AnnotatorError: the two don't have the same images or sizes.
    """
    ours, theirs = predicted.flatten(1) >= threshold, true.flatten(1) >= 0.5
    if ours.shape != theirs.shape or predicted.shape[-2:] != true.shape[-2:]:
        raise AnnotatorError(
            f"predicted masks {tuple(predicted.shape)} and true masks "
            f"{tuple(true.shape)} differ; both must be (N, H, W) or (N, 1, H, W) of "
            "the same images"
        )
    both = (ours & theirs).sum(1).double()
    either = (ours | theirs).sum(1).double()
    nothing = either == 0
    iou = (both / either.clamp_min(1)).masked_fill(nothing, 1.0)
    return iou, 2 * iou / (1 + iou)
