"""Sources made in memory: digits and textures of any size, without decoding."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from texturedmnist.plan import SamplePlan, plan_samples
from texturedmnist.recipe import Assignment, Recipe
from texturedmnist.sources import Digits, FileIndex, SourceIndex, Sources, TextureBank

DIGIT_CLASSES = tuple(f"digit_{number:02d}" for number in range(10))
BACKGROUND_CLASSES = tuple(f"ground_{number:02d}" for number in range(37))
TIES = Assignment(
    digit_textures=DIGIT_CLASSES,
    background_textures=tuple(BACKGROUND_CLASSES[digit::10] for digit in range(10)),
)


def noise(file: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return (height, width, 3) uint8 noise, another for each file."""
    rng = np.random.default_rng([file, height, width])
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def file_index(
    classes: Sequence[str], counts: Sequence[int], sides: Sequence[tuple[int, int]]
) -> FileIndex:
    """Return the files of some classes: in each partition p, counts[p] per class.

    The files have the given (height, width) in turn.
    """
    count = np.repeat(np.array(counts)[:, None], len(classes), axis=1)
    first = (np.cumsum(count) - count.ravel()).reshape(count.shape)
    size = np.array([sides[k % len(sides)] for k in range(count.sum())])
    return FileIndex(tuple(classes), first, count, size[:, 0], size[:, 1])


def make_index(
    development: int = 600,
    test: int = 100,
    sides: Sequence[tuple[int, int]] = ((32, 32), (72, 32), (39, 72)),
) -> SourceIndex:
    """Return the files of ten digit and 37 background classes, 8 : 2 : 3 of each."""
    return SourceIndex(
        labels=(np.arange(development + test) % 10).astype(np.uint8),
        development=development,
        assignment=TIES,
        digit_textures=file_index(DIGIT_CLASSES, (8, 2, 3), sides),
        background_textures=file_index(BACKGROUND_CLASSES, (8, 2, 3), sides),
    )


def make_bank(path: Path, index: FileIndex) -> TextureBank:
    """Fill every file of an index with noise."""
    sizes = zip(index.heights.tolist(), index.widths.tolist(), strict=True)
    images = [noise(number, *size) for number, size in enumerate(sizes)]
    path.write_bytes(b"".join(image.tobytes() for image in images))
    classes = np.repeat(np.arange(3 * len(index.classes)), index.count.ravel())
    return TextureBank(
        index=index,
        class_of=classes % len(index.classes),
        partition=classes // len(index.classes),
        names=tuple(str(number) for number in range(len(images))),
        file_digests=tuple(hashlib.sha256(image.data).hexdigest() for image in images),
        digest="",
        path=path,
    )


def make_sources(
    folder: Path, image_size: int, digit_size: int | None = None
) -> Sources:
    """Return 70 digits of noise and textures up to 9 px larger than their crops."""
    side = digit_size or image_size
    within = [(side, side), (side + 9, side + 4)]
    around = [(image_size, image_size + 9), (image_size + 5, image_size)]
    inside = file_index(DIGIT_CLASSES, (1, 1, 1), within)
    outside = file_index(BACKGROUND_CLASSES, (1, 1, 1), around)
    return fill_sources(folder, inside, outside)


def fill_sources(folder: Path, inside: FileIndex, outside: FileIndex) -> Sources:
    """Return 70 digits of noise, and the files of two indices filled with noise."""
    digits = np.random.default_rng(0).integers(0, 256, (70, 28, 28), np.uint8)
    labels = (np.arange(70) % 10).astype(np.uint8)
    return Sources(
        digits=Digits(digits, labels, 60, ""),
        digit_textures=make_bank(folder / "in", inside),
        background_textures=make_bank(folder / "out", outside),
        index=SourceIndex(labels, 60, TIES, inside, outside),
        digests={},
    )


def planned(
    sources: Sources, count: int = 12, split: str = "train", **fields: Any
) -> SamplePlan:
    """Plan the first samples of a split, as large as the backgrounds allow."""
    size = sources.background_textures.index.heights.min().item()
    recipe = Recipe(**{"bg": 0.5, "tex": 0.5, "image_size": size, **fields})
    return plan_samples(recipe, sources.index, split, np.arange(count))
