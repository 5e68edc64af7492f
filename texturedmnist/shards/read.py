"""Reading shards: names, columns, mapped pixels."""

import mmap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from texturedmnist.manifest import REMAKE, Manifest, ShardEntry
from texturedmnist.shards.format import COLUMNS, LARGEST, NAMES, ROLES, ShardHeader
from texturedmnist.shards.open import (
    FileState,
    OpenShard,
    Places,
    ShardError,
    explain,
    open_entry,
    open_hdf5,
    open_shard,
)


class ShardLabel(NamedTuple):
    """The dataset that a shard belongs to and its storage, `none` or `gzip`."""

    identity: str
    compression: str


class ShardPart(NamedTuple):
    """What is kept of a shard that was read; it holds for a file of this `state`."""

    columns: dict[str, NDArray[Any]]
    places: Places
    state: FileState


def read_label(path: Path) -> ShardLabel:
    """Read which dataset a shard belongs to, and how it is stored."""
    with open_shard(path) as shard:
        compression = "gzip" if shard.places is None else "none"
        return ShardLabel(str(shard.attribute("identity")), compression)


def read_columns(
    folder: Path, manifest: Manifest, split: str, names: Sequence[str] = tuple(COLUMNS)
) -> dict[str, NDArray[Any]]:
    """Read per-sample arrays of a whole split, all but the pixels.

    Returns:
        (n,) arrays by name, in the order of the samples' indices.

    Raises:
        DatasetError: the split or a shard is missing or broken.
    """
    entries = manifest.shards_of(split)
    return join_columns(read_entry(folder, manifest, e, names) for e in entries)


def join_columns(parts: Iterable[ShardPart]) -> dict[str, NDArray[Any]]:
    """Return the columns of several shards, one after another."""
    columns = [part.columns for part in parts]
    return {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}


def count_groups(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Count samples by group, 2 * label + background_aligned: (20,)."""
    groups = 2 * columns["label"] + columns["background_aligned"]
    return np.bincount(groups, minlength=20)


def find_other_groups(manifest: Manifest, split: str, counts: NDArray[np.int64]) -> str:
    """Say whether a split has other labels than were written, by its group counts.

    Returns:
        What is wrong; nothing if the manifest counts so, too.
    """
    whole = manifest.splits[split].groups
    if counts.tolist() == [whole.get(str(group), 0) for group in range(20)]:
        return ""
    return (
        f"the labels or aligned flags of {split} aren't those that the manifest "
        f"counts; {REMAKE}"
    )


def read_entry(
    folder: Path, manifest: Manifest, entry: ShardEntry, names: Sequence[str] = ()
) -> ShardPart:
    """Read per-sample arrays of one shard, and check their ranges; see `read_columns`.

    Raises:
        DatasetError: as `open_entry`, or a value is out of range.
    """
    with open_entry(folder, manifest, entry) as shard:
        columns = read_checked(shard, manifest, entry, names)
        return ShardPart(columns, shard.places, shard.state)


def read_checked(
    shard: OpenShard, manifest: Manifest, entry: ShardEntry, names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Read columns of an open shard, and check their ranges.

    Raises:
        ShardError: a value is out of range.
    """
    columns = {name: shard.read(name) for name in names}
    for name, values in columns.items():
        if not _in_range(name, values, manifest, entry):
            raise ShardError(f"has values of {name} that it can't have")
    return columns


def _in_range(
    name: str, values: NDArray[Any], manifest: Manifest, entry: ShardEntry
) -> bool:
    if name == "index":
        whole = np.arange(entry.start, entry.start + entry.count)
        return np.array_equal(values, whole)
    largest = LARGEST.get(name)
    if name in ROLES:
        largest = len(getattr(manifest, f"{name}_classes")) - 1
    return largest is None or bool(0 <= values.min() <= values.max() <= largest)


def read_names(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a shard's class names and file names, for each of `NAMES`."""
    with open_shard(path) as shard:
        return {name: shard.read_strings(name) for name in NAMES}


def read_header(path: Path) -> ShardHeader:
    """Read what a shard repeats of its dataset."""
    with open_shard(path) as shard:
        return ShardHeader(
            identity=str(shard.attribute("identity")),
            package_version=str(shard.attribute("package_version")),
            recipe=shard.read_strings("recipe")[0],
            names={name: shard.read_strings(name) for name in NAMES},
        )


def map_pixels(path: Path) -> tuple[Any, Any]:
    """Open a shard's images and masks for reading sample by sample.

    Contiguous datasets are mapped into memory at their place in the file, which takes
    one file descriptor as long as the arrays live; compressed ones are read through
    HDF5, whose file is open as long. Call it in the process that reads.

    Returns:
        images (n, S, S, 3) and masks (n, S, S), uint8: arrays or HDF5 datasets.

    Raises:
        DatasetError: as `open_shard`.
    """
    with open_shard(path) as shard:
        return map_places(path, shard.places)


def map_places(path: Path, places: Places) -> tuple[Any, Any]:
    """Map the pixels of a shard that was checked before; see `map_pixels`.

    Raises:
        DatasetError: the file can't be opened or mapped.
    """
    with explain(path):
        if places is None:
            compressed = open_hdf5(path)
            return compressed["image"], compressed["mask"]
        # One map of both: each one keeps a descriptor.
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        image, mask = (
            np.ndarray(shape, np.uint8, content, offset) for offset, shape in places
        )
        return image, mask
