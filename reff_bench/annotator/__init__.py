"""The pseudo-annotator: pix2pix, trained on the annotated images [paper].

A U-Net learns to draw the masks of the few annotated images, with an L1 distance and a
discriminator that judges patches, and then draws those of all others.
"""

from reff_bench.annotator.annotator import Annotator
from reff_bench.annotator.networks import PatchDiscriminator, UNetGenerator
from reff_bench.annotator.options import AnnotatorError, AnnotatorOptions
from reff_bench.annotator.overlap import iou_dice
from reff_bench.annotator.training import (
    AnnotatorDivergedError,
    Pair,
    train_annotator,
)

__all__ = [
    "Annotator",
    "AnnotatorDivergedError",
    "AnnotatorError",
    "AnnotatorOptions",
    "Pair",
    "PatchDiscriminator",
    "UNetGenerator",
    "iou_dice",
    "train_annotator",
]
