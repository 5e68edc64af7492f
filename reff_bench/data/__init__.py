"""Batches of image, label, mask, annotated, group, index from three datasets."""

from reff_bench.data.backgrounds import Backgrounds, open_backgrounds
from reff_bench.data.batch import Batch
from reff_bench.data.opening import open_data
from reff_bench.data.pixels import MemoryPixels, PixelSource
from reff_bench.data.split import Data, Prepare, Split
from reff_bench.data.subset import annotated_subset
from reff_bench.data.transforms import IMAGENET_MEAN, IMAGENET_STD, normalize
from reff_bench.identity import DataError

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Backgrounds",
    "Batch",
    "Data",
    "DataError",
    "MemoryPixels",
    "PixelSource",
    "Prepare",
    "Split",
    "annotated_subset",
    "normalize",
    "open_backgrounds",
    "open_data",
]
