"""The images of a texture source before they are decoded, and their split."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from texturedmnist.draws import hash_order
from texturedmnist.sources import procedural
from texturedmnist.sources.errors import SourceError

PARTITIONS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class TextureFile:
    """One image of a source, not yet decoded.

    Attributes:
        class_name: the class it belongs to.
        name: unique in the source, e.g. `banded/banded_0005.jpg`.
        partition: 0 train, 1 val, 2 test.
        read: makes its pixels, (H, W, 3) uint8 in [0, 255]; picklable.
        fingerprint: all that the pixels depend on; equal ones give equal pixels.
    """

    class_name: str
    name: str
    partition: int
    read: Callable[[], NDArray[np.uint8]]
    fingerprint: str


def split_files(class_name: str, count: int) -> NDArray[np.int64]:
    """Split a class's files 8 : 1 : 3, at least one each.

    The order depends on the class's name and number of files alone, not on a recipe's
    seed: a model may be tested on data of another seed without meeting a file that it
    was trained on.

    Returns:
        (count,) int64 in {0 train, 1 val, 2 test}, by file in sorted order.

    Raises:
        SourceError: there are fewer than 3 files.
    """
    if count < 3:
        raise SourceError(
            f"texture class {class_name!r} has {count} image{'s'[: count != 1]}; it "
            "needs at least 3, one each for train, val and test: add images, or leave "
            "the class out of the ties"
        )
    test, val = max(1, (3 * count + 6) // 12), max(1, (count + 6) // 12)
    seed = int.from_bytes(hashlib.sha256(class_name.encode()).digest()[:8], "big")
    order = hash_order(seed, "file_partition", count)
    partition = np.zeros(count, np.int64)
    partition[order[:test]] = 2
    partition[order[test : test + val]] = 1
    return partition


def list_embedded(
    classes: Sequence[str], min_side: int, instances: int
) -> list[TextureFile]:
    """List the embedded images of some classes, so many instances of each.

    They are a quarter larger than `min_side` (px), so that crops differ.

    Raises:
        SourceError: a class is unknown, or `instances` is below 3.
    """
    unknown = sorted(set(classes) - set(procedural.CLASSES))
    if unknown:
        raise SourceError(
            f"no embedded texture class {', '.join(unknown)}; "
            f"known: {', '.join(procedural.CLASSES)}"
        )
    size = min_side + min_side // 4
    return [
        TextureFile(
            class_name=name,
            name=f"{name}/{instance:05d}",
            partition=int(split),
            read=partial(procedural.render_texture, name, instance, size),
            fingerprint=f"{_code_digest()} {size}",
        )
        for name in classes
        for instance, split in enumerate(split_files(name, instances))
    ]


@cache
def _code_digest() -> str:
    """Return the sha256 (hex) of the code that paints the embedded textures.

    It can't be forgotten as a version number can.
    """
    place = Path(procedural.__file__)
    parts = sorted(place.parent.rglob("*.py")) if place.stem == "__init__" else [place]
    return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()
