"""What a plan needs to know of the sources: labels, counts, sizes, names; no pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from texturedmnist.recipe import Assignment


@dataclass(frozen=True, slots=True)
class FileIndex:
    """The files of one texture role.

    Files are numbered by (partition, class, name), so that those of class c in
    partition p (0 train, 1 val, 2 test) are first[p, c] ... first[p, c] + count[p, c].

    Attributes:
        classes: names, sorted; a class number is a position here.
        first: (3, C) int64.
        count: (3, C) int64, >= 1.
        heights: (F,) int64, px.
        widths: (F,) int64, px.
    """

    classes: tuple[str, ...]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SourceIndex:
    """Everything of the sources that a sample's random choices depend on.

    Attributes:
        labels: (N,) uint8 in [0, 9], one per digit image.
        development: the first so many digits are train's and val's, the rest test's.
        ties: which classes are assigned to which digit.
        digit_textures: the files of the ten digit-texture classes.
        background_textures: the files of the background classes.
    """

    labels: NDArray[np.uint8]
    development: int
    ties: Assignment
    digit_textures: FileIndex
    background_textures: FileIndex
