"""Opening a shard, which is checked before anything of it is used."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5l, h5o, h5s, h5t, h5z
from numpy.typing import NDArray

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
from texturedmnist.shards.format import COLUMNS, NAMES, ROLES
from texturedmnist.shards.heaps import has_broken_heap

# HDF5 meets damage wherever it happens to look next, and says so in many ways.
DAMAGE = (
    *(OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError),
    *(AttributeError, IndexError, OverflowError),
)

FileState = tuple[int, int, int]  # inode, size, time of the last change
# Byte offset and shape of images and masks; None if they are compressed.
Places = tuple[tuple[int, tuple[int, ...]], ...] | None
STRINGS = (*NAMES, "recipe")
CONTENTS = (*COLUMNS, *STRINGS, "image", "mask", "sample_digest")
TYPES = {name: np.dtype(COLUMNS.get(name, "u1")) for name in CONTENTS}
TYPES |= dict.fromkeys(STRINGS, h5py.string_dtype())
STORED = {name: h5t.py_create(dtype, logical=True) for name, dtype in TYPES.items()}

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard that is open for reading.

    Attributes:
        file: h5py's.
        contents: all its datasets by name, as they were checked.
        state: of the file when it was opened.
    """

    file: h5py.File
    contents: Mapping[str, h5d.DatasetID]
    state: FileState

    @property
    def places(self) -> Places:
        """Where images and masks are."""
        pixels = [self.contents[name] for name in ("image", "mask")]
        if None in [data.get_offset() for data in pixels]:
            return None
        return tuple((data.get_offset(), data.shape) for data in pixels)

    def read(self, name: str) -> NDArray[Any]:
        """Return all values of a dataset; strings are bytes."""
        data = self.contents[name]
        values = np.empty(data.shape, TYPES[name])
        data.read(h5s.ALL, h5s.ALL, values)
        return values

    def read_strings(self, name: str) -> tuple[str, ...]:
        """Return the strings of a dataset."""
        return tuple(text.decode() for text in self.read(name).ravel())

    def attribute(self, name: str) -> Any:  # noqa: ANN401 (whatever a file holds)
        """Return an attribute: an integer or a text, where a shard wrote it."""
        return _read_attribute(self.file, name)


@contextmanager
def open_shard(path: Path) -> Iterator[OpenShard]:
    """Open a shard for reading; its links, layouts, types and shapes are checked.

    Raises:
        DatasetError: the file is missing, cut short, no shard, or of another version.
        UnreadableError: it can't be read, whatever it holds.
    """
    with explain(path):
        state = file_state(path)
        with open_hdf5(path) as file:
            check_version(_read_version(file), path)
            contents = open_contents(file)
            _check_strings(path, contents)
            yield OpenShard(file, contents, state)


@contextmanager
def open_entry(
    folder: Path, manifest: Manifest, entry: ShardEntry
) -> Iterator[OpenShard]:
    """Open a shard that is checked to be the one that the manifest means.

    Raises:
        DatasetError: as `open_shard`, or it is another shard, or of another dataset.
        UnreadableError: it can't be read, whatever it holds.
    """
    with open_shard(folder / entry.file) as shard:
        _check_entry(shard, manifest, entry)
        yield shard


def file_state(path: Path) -> FileState:
    """Return what changes when a file does; refuse what is no file of the folder.

    Raises:
        DatasetError: it is missing, something else, or a link out of the folder.
        UnreadableError: it can't be read.
    """
    found = check_file(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, with a lock or without."""
    try:
        return h5py.File(path, "r")
    except OSError:
        # A network disk may lack locks, another reader have done without. A finished
        # shard never changes, so nothing is lost; what else is wrong is said again.
        return h5py.File(path, "r", locking=False)


@contextmanager
def explain(path: Path) -> Iterator[None]:
    """Say what is wrong with a shard: damage, or that it can't be read."""
    try:
        yield
    except DatasetError:
        raise
    except ShardError as error:
        raise DatasetError(f"{path} {error}; {REMAKE}") from None
    except DAMAGE as error:
        if error_number(error) in OUTSIDE:
            raise unreadable(path, error) from None
        reason = " ".join(str(error).strip("'\"").split())
        raise DatasetError(f"{path} can't be read: {reason}; {REMAKE}") from None


def _read_version(file: h5py.File) -> object:
    known = h5a.exists(file.id, b"format_version")
    return _read_attribute(file, "format_version") if known else None


def _read_attribute(file: h5py.File, name: str) -> Any:  # noqa: ANN401
    attribute = h5a.open(file.id, name.encode())
    value = np.empty(attribute.shape, attribute.dtype)
    attribute.read(value)
    found: Any = value[()]
    if isinstance(found, np.generic):
        found = found.item()
    return found.decode() if isinstance(found, bytes) else found


def _check_entry(shard: OpenShard, manifest: Manifest, entry: ShardEntry) -> None:
    """Hold a shard against what the manifest says of it."""
    image_size = manifest.recipe["image_size"]
    shape, found = (entry.count, image_size, image_size), shard.contents["mask"].shape
    if shard.attribute("identity") != manifest.identity:
        raise ShardError("belongs to another dataset")
    place = shard.attribute("split"), shard.attribute("shard")
    if place != (entry.split, entry.number):
        text = f"isn't shard {entry.number} of {entry.split}, but another one"
        raise ShardError(text)
    if found != shape:
        sizes = ("x".join(map(str, sizes)) for sizes in (found, shape))
        raise ShardError("holds masks of {}, not {}".format(*sizes))
    for name in ROLES:
        classes = getattr(manifest, f"{name}_classes")
        if shard.read_strings(f"{name}_classes") != classes:
            raise ShardError(f"has other names of {name} classes than the manifest")
    if (size := shard.state[1]) != entry.bytes:
        raise ShardError(f"has {size} bytes, not {entry.bytes}")


class ShardError(ValueError):
    """What is wrong with a shard: the end of a sentence that begins with its name."""


def open_contents(file: h5py.File) -> dict[str, h5d.DatasetID]:
    """Open a shard's datasets; check their links, types, shapes and layouts.

    They are HDF5's own identifiers: h5py's objects take several times as long to make.

    Raises:
        ShardError: something isn't stored as it must be.
    """
    _check_links(file.id.links)
    contents = {name: h5o.open(file.id, name.encode()) for name in CONTENTS}
    for name, data in contents.items():
        if not isinstance(data, h5d.DatasetID):
            raise ShardError(f"has {name} as something else than a dataset")
    shapes = _expected_shapes(contents["mask"].shape)
    size = file.id.get_filesize()
    for name, data in contents.items():
        _check_values(name, data, shapes)
        _check_storage(name, data, size)
    return contents


def _check_strings(path: Path, contents: Mapping[str, h5d.DatasetID]) -> None:
    """Refuse damaged strings before HDF5 reads any; all lie before the columns."""
    first = min(contents[name].get_offset() for name in COLUMNS)
    with path.open("rb") as stream:
        if has_broken_heap(stream.read(first)):
            raise ShardError("has damaged strings")


def _check_links(links: h5l.LinkProxy) -> None:
    missing = []
    for name in ("plan", *CONTENTS):  # plan first: links in it are looked up through it
        try:
            kind = links.get_info(name.encode()).type
        except (KeyError, RuntimeError):
            missing.append(name)
            continue
        if kind != h5l.TYPE_HARD:
            raise ShardError(f"has {name} by a link, not in itself")
    if missing:
        raise ShardError(f"lacks {', '.join(missing)}")


def _expected_shapes(mask: Shape) -> dict[str, Shape]:
    """Return the shapes of all but the strings, by that of the masks."""
    if len(mask) != 3 or mask[1] != mask[2] or 0 in mask:
        raise ShardError("has masks of another shape")
    shapes: dict[str, Shape] = dict.fromkeys(COLUMNS, mask[:1])
    return shapes | {"mask": mask, "image": (*mask, 3), "sample_digest": (mask[0], 32)}


def _check_values(name: str, data: h5d.DatasetID, shapes: Mapping[str, Shape]) -> None:
    # HDF5's types are compared: to make numpy's of them takes five times as long.
    is_same = data.get_type().equal(STORED[name])
    if name in STRINGS:
        dimensions = 0 if name == "recipe" else 1
        if not is_same or len(data.shape) != dimensions:
            raise ShardError(f"has {name} of another type or shape")
    elif not is_same:
        raise ShardError(f"has {name} of type {data.dtype}, not {TYPES[name]}")
    elif data.shape != shapes[name]:
        raise ShardError(f"has {name} of shape {data.shape}, not {shapes[name]}")


def _check_storage(name: str, data: h5d.DatasetID, file_size: int) -> None:
    """Let values lie side by side in the file, or each sample's pixels in a chunk."""
    start = data.get_offset()  # None for all that lies elsewhere, or in chunks
    if start is not None and start + data.get_storage_size() <= file_size:
        return
    stored = data.get_create_plist()
    if stored.get_layout() == h5d.VIRTUAL or stored.get_external_count():
        raise ShardError(f"has the data of {name} outside itself")
    if name not in ("image", "mask") or not _is_by_sample(stored, data.shape):
        raise ShardError(f"has {name} in another layout than a shard's")


def _is_by_sample(stored: h5py.h5p.PropDCID, shape: Shape) -> bool:
    if stored.get_layout() != h5d.CHUNKED:
        return False
    filters = [stored.get_filter(k)[0] for k in range(stored.get_nfilters())]
    return stored.get_chunk() == (1, *shape[1:]) and filters == [h5z.FILTER_DEFLATE]
