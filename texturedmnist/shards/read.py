"""Reading shards: columns, mapped pixels, and what is wrong with them."""

import mmap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.digest import file_digest
from texturedmnist.common.files import error_number
from texturedmnist.manifest import (
    OUTSIDE,
    REMAKE,
    DatasetError,
    Manifest,
    ShardEntry,
    check_file,
    check_version,
    unreadable,
)
from texturedmnist.shards.format import (
    COLUMNS,
    LARGEST,
    NAMES,
    ShardHeader,
    ShardPlace,
    ShardRecord,
    digest_samples,
    row_bytes,
    shard_record,
)
from texturedmnist.shards.layout import check_layout

CHECKED_AT_ONCE = 64  # samples
ROLES = ("digit_texture", "background_texture")
# HDF5 meets damage wherever it happens to look next, and says so in many ways.
DAMAGE = (
    *(OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError),
    *(AttributeError, IndexError, OverflowError),
)


class ShardLabel(NamedTuple):
    """The dataset that a shard belongs to and its storage, `none` or `gzip`."""

    identity: str
    compression: str


@contextmanager
def open_shard(path: Path) -> Iterator[h5py.File]:
    """Open a shard for reading; its links, layouts, types and shapes are checked.

    Raises:
        DatasetError: the file is missing, cut short, no shard, or of another version.
        UnreadableError: it can't be read, whatever it holds.
    """
    with _told(path):
        check_file(path)
        with _open(path) as file:
            check_version(file.attrs.get("format_version"), path)
            wrong = check_layout(file)
            if wrong:
                raise DatasetError(f"{path} {wrong}; {REMAKE}")
            yield file


@contextmanager
def open_entry(
    folder: Path, manifest: Manifest, entry: ShardEntry
) -> Iterator[h5py.File]:
    """Open a shard that is checked to be the one that the manifest means.

    Raises:
        DatasetError: as `open_shard`, or it is another shard, or of another dataset.
        UnreadableError: it can't be read, whatever it holds.
    """
    path = folder / entry.file
    with open_shard(path) as file:
        wrong = _find_difference(path, file, manifest, entry)
        if wrong:
            raise DatasetError(f"{path} {wrong}; {REMAKE}")
        yield file


def _find_difference(
    path: Path, file: h5py.File, manifest: Manifest, entry: ShardEntry
) -> str:
    """Return how a shard differs from what the manifest says of it, or nothing."""
    size = manifest.recipe["image_size"]
    shape = (entry.count, size, size)
    if file.attrs["identity"] != manifest.identity:
        return "belongs to another dataset"
    if (file.attrs["split"], file.attrs["shard"]) != (entry.split, entry.number):
        return f"isn't shard {entry.number} of {entry.split}, but another one"
    if file["mask"].shape != shape:
        found = "x".join(map(str, file["mask"].shape))
        return f"holds masks of {found}, not {'x'.join(map(str, shape))}"
    for name in ROLES:
        classes = getattr(manifest, f"{name}_classes")
        if tuple(file[f"{name}_classes"].asstr()[()]) != classes:
            return f"has other names of {name} classes than the manifest"
    if (size := path.stat().st_size) != entry.bytes:
        return f"has {size} bytes, not {entry.bytes}"
    return ""


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say what is wrong with a shard: damage, or that it can't be read."""
    try:
        yield
    except DatasetError:
        raise
    except DAMAGE as error:
        if error_number(error) in OUTSIDE:
            raise unreadable(path, error) from None
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
    entries = manifest.shards_of(split)
    parts = [read_entry(folder, manifest, entry, names) for entry in entries]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def read_entry(
    folder: Path, manifest: Manifest, entry: ShardEntry, names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Read per-sample arrays of one shard, and check their ranges; see `read_columns`.

    Raises:
        DatasetError: as `open_entry`, or a value is out of range.
    """
    with open_entry(folder, manifest, entry) as file:
        columns = {name: file[name][()] for name in names}
    for name, values in columns.items():
        if not _in_range(name, values, manifest, entry):
            path = folder / entry.file
            raise DatasetError(
                f"{path}: {name} has values that it can't have; {REMAKE}"
            )
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

    Contiguous data sets are mapped into memory at their place in the file, which takes
    one file descriptor as long as the arrays live; compressed ones are read through
    HDF5, whose file is open as long. Call it in the process that reads.

    Returns:
        images (n, S, S, 3) and masks (n, S, S), uint8: arrays or HDF5 data sets.

    Raises:
        DatasetError: as `open_shard`.
    """
    with open_shard(path) as file:
        return map_places(path, find_places(file))


Places = tuple[tuple[int, tuple[int, ...]], ...] | None


def find_places(file: h5py.File) -> Places:
    """Return (byte offset, shape) of images and masks, None if they are compressed."""
    if file["image"].chunks is not None:
        return None
    return tuple((file[n].id.get_offset(), file[n].shape) for n in ("image", "mask"))


def map_places(path: Path, places: Places) -> tuple[Any, Any]:
    """Map the pixels of a shard that was checked before; see `map_pixels`.

    Raises:
        DatasetError: the file can't be opened or mapped.
    """
    with _told(path):
        if places is None:
            compressed = _open(path)
            return compressed["image"], compressed["mask"]
        # One map of both: each one keeps a descriptor.
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        image, mask = (
            np.ndarray(shape, np.uint8, content, offset) for offset, shape in places
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
    with _told(path):
        sha256 = file_digest(path)
    return shard_record(place, stored, path.stat().st_size, sha256)


def _check_header(
    path: Path, file: h5py.File, place: ShardPlace, identity: str
) -> None:
    if file.attrs["identity"] != identity:
        raise DatasetError(f"{path} belongs to another dataset; {REMAKE}")
    index = file["index"][()]
    whole = np.arange(place.start, place.start + place.count)
    named = (file.attrs["split"], file.attrs["shard"]) == (place.split, place.number)
    if not named or not np.array_equal(index, whole):
        raise DatasetError(
            f"{path} doesn't hold samples {place.start} to {whole[-1]} of "
            f"{place.split}; {REMAKE}"
        )
