"""What a shard holds, and how its content is digested."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from texturedmnist.manifest import Manifest, ShardEntry, shard_name

# What is stored of each sample besides its pixels, in the order of its digest.
COLUMNS: Mapping[str, str] = {
    "label": "<u1",
    "index": "<i8",
    "digit_texture": "<i2",
    "background_texture": "<i2",
    "digit_aligned": "<u1",
    "background_aligned": "<u1",
    "plan/digit": "<i4",
    "plan/digit_y": "<i4",
    "plan/digit_x": "<i4",
    "plan/tex_draw": "<f8",
    "plan/digit_texture_file": "<i4",
    "plan/digit_texture_y": "<i4",
    "plan/digit_texture_x": "<i4",
    "plan/bg_draw": "<f8",
    "plan/background_texture_file": "<i4",
    "plan/background_texture_y": "<i4",
    "plan/background_texture_x": "<i4",
}
NAMES = (
    "digit_texture_classes",
    "background_texture_classes",
    "digit_texture_files",
    "background_texture_files",
)
ROLES = ("digit_texture", "background_texture")
COMPRESSIONS = ("none", "gzip")
# What the small columns can hold at most; the classes' numbers depend on the manifest.
LARGEST: Mapping[str, int] = {"label": 9, "digit_aligned": 1, "background_aligned": 1}

Columns = Mapping[str, NDArray[Any]]
Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class ShardHeader:
    """What every shard of a dataset repeats, so that each can be read alone.

    Attributes:
        identity: sha256 (hex) of recipe and sources.
        package_version: of the writer.
        recipe: the resolved recipe as JSON.
        names: for each of `NAMES`, the names by class or file number.
    """

    identity: str
    package_version: str
    recipe: str
    names: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """Where a shard stands in its split: samples start ... start + count."""

    split: str
    number: int
    total: int
    start: int
    count: int

    @property
    def file(self) -> str:
        """Name of the file, such as train-00000-of-00027.h5."""
        return shard_name(self.split, self.number, self.total)


def cut_splits(counts: Mapping[str, int], size: int) -> list[ShardSpec]:
    """Cut every split into parts of `size` samples, the last one smaller."""
    return [
        ShardSpec(
            split, start // size, -(-count // size), start, min(size, count - start)
        )
        for split, count in counts.items()
        for start in range(0, count, size)
    ]


def shard_spec(manifest: Manifest, entry: ShardEntry) -> ShardSpec:
    """Return where a manifest's shard stands in its split."""
    total = len(manifest.shards_of(entry.split))
    return ShardSpec(entry.split, entry.number, total, entry.start, entry.count)


class ShardRecord(NamedTuple):
    """A finished shard: its manifest entry and its (n, 32) uint8 sample digests."""

    entry: ShardEntry
    digests: NDArray[np.uint8]


def row_bytes(columns: Columns) -> NDArray[np.uint8]:
    """Return each sample's columns as stored, side by side: (n, bytes)."""
    parts = [columns[name].astype(dtype) for name, dtype in COLUMNS.items()]
    return np.concatenate([part[:, None].view(np.uint8) for part in parts], axis=1)


def digest_samples(
    images: NDArray[np.uint8], masks: NDArray[np.uint8], rows: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the sha256 of each sample's image, mask and columns: (n, 32)."""
    digests = np.empty((len(rows), 32), np.uint8)
    for k, row in enumerate(rows):
        sample = hashlib.sha256(images[k].data)
        sample.update(masks[k].data)
        sample.update(row.data)
        digests[k] = np.frombuffer(sample.digest(), np.uint8)
    return digests


def combine_digests(digests: Iterable[NDArray[np.uint8]]) -> str:
    """Return the sha256 (hex) over sample digests in order: (n, 32) uint8 each."""
    whole = hashlib.sha256()
    for part in digests:
        whole.update(np.ascontiguousarray(part).data)
    return whole.hexdigest()


def shard_record(
    spec: ShardSpec, digests: NDArray[np.uint8], size: int, sha256: str
) -> ShardRecord:
    """Describe a finished shard of `size` bytes for the manifest."""
    entry = ShardEntry(
        file=spec.file,
        split=spec.split,
        number=spec.number,
        start=spec.start,
        count=spec.count,
        bytes=size,
        digest=combine_digests([digests]),
        sha256=sha256,
    )
    return ShardRecord(entry, digests)
