"""Reading a part of a split from its shards, without holding more than one sample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from texturedmnist.manifest import Manifest, ShardEntry
from texturedmnist.shards import map_places, read_entry

Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a split: samples start ... start + count, as one task.

    Attributes:
        split: of the dataset.
        number: its place among the split's parts.
        total: number of the split's parts.
        start: index of its first sample.
        count: number of its samples.
    """

    split: str
    number: int
    total: int
    start: int
    count: int


def cut_parts(manifest: Manifest, size: int) -> list[Part]:
    """Cut every split into parts of `size` samples, the last one smaller."""
    parts = []
    for split, entry in manifest.splits.items():
        total = -(-entry.count // size)
        for number in range(total):
            start = number * size
            count = min(size, entry.count - start)
            parts.append(Part(split, number, total, start, count))
    return parts


def read_pixels(folder: Path, manifest: Manifest, part: Part) -> Iterator[Pixels]:
    """Yield a part's images (S, S, 3) and masks (S, S), uint8, one by one."""
    for entry, within in _pieces(manifest, part):
        places = read_entry(folder, manifest, entry).places
        images, masks = map_places(folder / entry.file, places)
        for number in range(within.start, within.stop):
            yield images[number], masks[number]


def read_part(
    folder: Path, manifest: Manifest, part: Part, names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Return some columns of a part: (count,) arrays by name."""
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for entry, within in _pieces(manifest, part):
        columns = read_entry(folder, manifest, entry, names).columns
        for name in names:
            found[name].append(columns[name][within])
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def _pieces(manifest: Manifest, part: Part) -> Iterator[tuple[ShardEntry, slice]]:
    """Yield the shards that a part lies in, and where in each."""
    for entry in manifest.shards_of(part.split):
        first = max(part.start, entry.start)
        last = min(part.start + part.count, entry.start + entry.count)
        if first < last:
            yield entry, slice(first - entry.start, last - entry.start)
