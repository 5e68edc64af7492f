"""Mask input: only what is relevant is seen, in training and ever after."""

from torch import Tensor

from reff_bench.catalog.option import Options
from reff_bench.methods.baseline import baseline_terms, build_plain
from reff_bench.methods.method import Method


def mask_input() -> Method:
    """Return the method: an upper bound that needs a mask for each image, always.

    It trains and predicts on m * x + (1 - m) * c, with m the mask, x the image and c
    ImageNet's mean color, which is 0 in normalized units. A training image without a
    true mask takes the pseudo-annotator's; an image for which there is none at all is
    seen whole.
    """
    return Method(
        build_plain,
        baseline_terms,
        options=Options,
        supervision="deployment masks",
        prepare=mask_out,
    )


def mask_out(image: Tensor, mask: Tensor) -> Tensor:
    """Return the images with the mean color off the masks; soft masks blend."""
    return image * mask.unsqueeze(1)
