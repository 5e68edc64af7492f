"""How a shard's datasets must be stored, so that no reader is led elsewhere."""

from collections.abc import Mapping

import h5py
import numpy as np
from h5py import h5d, h5l, h5o, h5t, h5z

from texturedmnist.shards.format import COLUMNS, NAMES

STRINGS = (*NAMES, "recipe")
CONTENTS = (*COLUMNS, *STRINGS, "image", "mask", "sample_digest")
TYPES = {name: np.dtype(COLUMNS.get(name, "u1")) for name in CONTENTS}
TYPES |= dict.fromkeys(STRINGS, h5py.string_dtype())
STORED = {name: h5t.py_create(dtype, logical=True) for name, dtype in TYPES.items()}

Shape = tuple[int, ...]


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
