"""Writing a shard: atomically."""

import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from texturedmnist.common.files import atomic
from texturedmnist.manifest import FORMAT_VERSION
from texturedmnist.shards.format import (
    COLUMNS,
    NAMES,
    Columns,
    Pixels,
    ShardHeader,
    ShardRecord,
    ShardSpec,
    digest_samples,
    row_bytes,
    shard_record,
)

GZIP_LEVEL = 4

Batch = TypeVar("Batch")


class _Stream(io.FileIO):
    """A file for HDF5 that keeps the first failure to itself until it is asked.

    HDF5 can't close a file that it can't write, or that doesn't hold what was written,
    and takes the process down with it. What the disk doesn't take is kept in memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self._error: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []  # place and content, the newest last

    def write(self, data: Any) -> int:  # noqa: ANN401 (any buffer)
        start, rest = self.tell(), memoryview(data)
        while rest and self._error is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self._error = error
        if self._error is not None:
            self._kept.append((start, bytes(data)))
            self.seek(start + len(data))
        return len(data)

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (any writable buffer)
        start, view = self.tell(), memoryview(buffer).cast("B")
        count = super().readinto(view)
        if self._error is None:
            return count
        view[count:] = bytes(len(view) - count)
        for place, data in self._kept:
            first = max(start, place)
            last = min(start + len(view), place + len(data))
            if first < last:
                view[first - start : last - start] = data[first - place : last - place]
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        found = super().seek(offset, whence)
        if whence == os.SEEK_END:
            ends = [place + len(data) for place, data in self._kept]
            found = super().seek(max([found, *ends]))
        return found

    def truncate(self, size: int | None = None) -> int:
        if self._error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self._error = error
        return size or 0

    def check(self, batch: Batch) -> Batch:
        """Raise what has failed since; else hand the batch on."""
        if self._error is not None:
            raise self._error
        return batch


def write_shard(
    folder: Path,
    spec: ShardSpec,
    header: ShardHeader,
    columns: Columns,
    batches: Iterable[Pixels],
    *,
    image_size: int,
    compression: str = "none",
) -> ShardRecord:
    """Write a shard: temporary name, flush, fsync, rename.

    Args:
        folder: where to.
        spec: gives the name.
        header: what the shards share.
        columns: (n,) arrays by the names of `COLUMNS`.
        batches: images (b, S, S, 3) and masks (b, S, S), uint8, n samples in all. Each
            batch is used up before the next is asked for.
        image_size: S in px.
        compression: `none` (contiguous) or `gzip` (one sample per chunk).

    Raises:
        WriteError: the disk is full, or the folder can't be written.
    """
    path = folder / spec.file
    with atomic(path, durable=False, parents=False) as temporary:
        with _Stream(temporary) as stream:
            with h5py.File(stream, "w") as file:
                _write_header(file, spec, header, columns)
                checked = map(stream.check, batches)
                digests = _write_samples(
                    file, columns, checked, image_size, compression
                )
            stream.check(None)
        sha256 = _sync(temporary)
        size = temporary.stat().st_size
    return shard_record(spec, digests, size, sha256)


def _write_header(
    file: h5py.File, spec: ShardSpec, header: ShardHeader, columns: Columns
) -> None:
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["package_version"] = header.package_version
    file.attrs["identity"] = header.identity
    file.attrs["split"] = spec.split
    file.attrs["shard"] = spec.number
    file["recipe"] = header.recipe
    for name in NAMES:
        file.create_dataset(name, data=header.names[name], dtype=h5py.string_dtype())
    for name, dtype in COLUMNS.items():
        file.create_dataset(name, data=columns[name].astype(dtype))


def _write_samples(
    file: h5py.File,
    columns: Columns,
    batches: Iterable[Pixels],
    image_size: int,
    compression: str,
) -> NDArray[np.uint8]:
    """Write pixels and digests batch by batch; return the digests."""
    rows = row_bytes(columns)
    shape = (len(rows), image_size, image_size)
    image = _create(file, "image", (*shape, 3), compression)
    mask = _create(file, "mask", shape, compression)
    digests = np.empty((len(rows), 32), np.uint8)
    start = 0
    for images, masks in batches:
        stop = start + len(images)
        image[start:stop] = images
        mask[start:stop] = masks
        digests[start:stop] = digest_samples(images, masks, rows[start:stop])
        start = stop
    file["sample_digest"] = digests
    return digests


def _create(
    file: h5py.File, name: str, shape: tuple[int, ...], compression: str
) -> h5py.Dataset:
    if compression == "none":
        return file.create_dataset(name, shape, np.uint8)
    chunks = (1, *shape[1:])
    return file.create_dataset(
        name,
        shape,
        np.uint8,
        chunks=chunks,
        compression="gzip",
        compression_opts=GZIP_LEVEL,
    )


def _sync(path: Path) -> str:
    """Bring a file to the disk; return its sha256 (hex)."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            # The next shard can have this one's pages of the cache: fresh ones are
            # expensive, on a virtual machine most of all, and others need theirs.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return sha256
