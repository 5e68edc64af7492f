"""Reading shards: columns, mapped pixels, and what is wrong with them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from texturedmnist.manifest import REMAKE, DatasetError, Manifest, check_version
from texturedmnist.shards.format import (
    COLUMNS,
    NAMES,
    ShardHeader,
    ShardPlace,
    ShardRecord,
    digest_samples,
    row_bytes,
    shard_record,
)

CHECKED_AT_ONCE = 64  # samples
CONTENTS = (*COLUMNS, *NAMES, "image", "mask", "recipe", "sample_digest")
# HDF5 meets damage wherever it happens to look next, and says so in many ways.
DAMAGE = (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError)


class ShardLabel(NamedTuple):
    """The dataset that a shard belongs to and its storage, `none` or `gzip`."""

    identity: str
    compression: str


@contextmanager
def open_shard(path: Path) -> Iterator[h5py.File]:
    """Open a shard for reading.

    Raises:
        DatasetError: the file is missing, cut short, no shard, or of another version.
    """
    try:
        with _open(path) as file:
            check_version(file.attrs.get("format_version"), path)
            missing = [name for name in CONTENTS if name not in file]
            if missing:
                raise DatasetError(f"{path} lacks {', '.join(missing)}; {REMAKE}")
            yield file
    except DatasetError:
        raise
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing; {REMAKE}") from None
    except DAMAGE as error:
        reason = " ".join(str(error).strip("'\"").split())
        raise DatasetError(f"{path} can't be read: {reason}; {REMAKE}") from None


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError:
        # A network disk may lack locks, another reader have done without. A finished
        # shard never changes, so nothing is lost; what else is wrong is said again.
        return h5py.File(path, "r", locking=False)


def read_label(path: Path) -> ShardLabel:
    """Read which dataset a shard belongs to, and how it is stored."""
    with open_shard(path) as file:
        compression = file["image"].compression or "none"
        return ShardLabel(file.attrs["identity"], compression)


def read_columns(
    folder: Path, manifest: Manifest, split: str, names: Sequence[str] = tuple(COLUMNS)
) -> dict[str, NDArray[Any]]:
    """Read per-sample arrays of a whole split, all but the pixels.

    Args:
        folder: the dataset.
        manifest: of this folder.
        split: one that the manifest has.
        names: some of `COLUMNS`.

    Returns:
        (n,) arrays by name, in the order of the samples' indices.

    Raises:
        DatasetError: the split or a shard is missing or broken.
    """
    parts = []
    for entry in manifest.shards_of(split):
        with open_shard(folder / entry.file) as file:
            parts.append({name: file[name][()] for name in names})
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def read_names(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a shard's class names and file names, for each of `NAMES`."""
    with open_shard(path) as file:
        return {name: tuple(file[name].asstr()[()]) for name in NAMES}


def read_header(path: Path) -> ShardHeader:
    """Read what a shard repeats of its dataset."""
    names = read_names(path)
    with open_shard(path) as file:
        return ShardHeader(
            identity=file.attrs["identity"],
            package_version=file.attrs["package_version"],
            recipe=file["recipe"].asstr()[()],
            names=names,
        )


def map_pixels(path: Path) -> tuple[Any, Any]:
    """Open a shard's images and masks for reading sample by sample.

    Contiguous data sets are mapped into memory at their place in the file; compressed
    ones are read through HDF5. Call it in the process that reads.

    Returns:
        images (n, S, S, 3) and masks (n, S, S), uint8: arrays or HDF5 data sets.
    """
    with open_shard(path) as file:
        places = [(file[n].id.get_offset(), file[n].shape) for n in ("image", "mask")]
    if any(offset is None for offset, _ in places):
        compressed = _open(path)
        return compressed["image"], compressed["mask"]
    image, mask = (
        np.asarray(np.memmap(path, np.uint8, "r", offset, shape))
        for offset, shape in places
    )
    return image, mask


def recheck_shard(
    path: Path, place: ShardPlace, identity: str, progress: Callable[[int], None]
) -> ShardRecord:
    """Read a whole shard again and compare it with the digests that it holds.

    Args:
        path: of the shard.
        place: where it should stand.
        identity: of the dataset that it should belong to.
        progress: called with the number of samples checked.

    Returns:
        The record that its writer returned.

    Raises:
        DatasetError: the shard isn't what was written; names the first bad sample.
    """
    with open_shard(path) as file:
        _check_header(path, file, place, identity)
        rows = row_bytes({name: file[name][()] for name in COLUMNS})
        stored = file["sample_digest"][()]
        for start in range(0, place.count, CHECKED_AT_ONCE):
            part = slice(start, start + CHECKED_AT_ONCE)
            found = digest_samples(file["image"][part], file["mask"][part], rows[part])
            bad = np.flatnonzero((found != stored[part]).any(axis=1))
            if len(bad):
                sample = place.start + start + int(bad[0])
                raise DatasetError(
                    f"{path}: the bytes of sample {sample} don't match their digest: "
                    f"the file was changed or damaged; {REMAKE}"
                )
            progress(len(found))
    with path.open("rb") as raw:
        sha256 = hashlib.file_digest(raw, "sha256").hexdigest()
    return shard_record(place, stored, path.stat().st_size, sha256)


def _check_header(
    path: Path, file: h5py.File, place: ShardPlace, identity: str
) -> None:
    if file.attrs["identity"] != identity:
        raise DatasetError(f"{path} belongs to another dataset; {REMAKE}")
    index = file["index"][()]
    whole = np.arange(place.start, place.start + place.count)
    named = file.attrs["split"] == place.split
    if not named or not np.array_equal(index, whole):
        raise DatasetError(
            f"{path} doesn't hold samples {place.start} to {whole[-1]} of "
            f"{place.split}; {REMAKE}"
        )
