"""How a shard's data sets must be stored, so that no reader is led elsewhere."""

import h5py
import numpy as np
from h5py import h5d, h5l, h5z

from texturedmnist.shards.format import COLUMNS, NAMES

CONTENTS = (*COLUMNS, *NAMES, "image", "mask", "recipe", "sample_digest")


def check_layout(file: h5py.File) -> str:
    """Return what is wrong with a shard's links, layouts, types and shapes.

    Returns:
        The end of a sentence that begins with the file's name; nothing if all is well.
    """
    missing = [name for name in CONTENTS if name not in file]
    if missing:
        return f"lacks {', '.join(missing)}"
    links = file.id.links
    for name in ("plan", *CONTENTS):
        if links.get_info(name.encode()).type != h5l.TYPE_HARD:
            return f"has {name} by a link, not in itself"
    others = [name for name in CONTENTS if not isinstance(file[name], h5py.Dataset)]
    if others:
        return f"has {others[0]} as something else than a data set"
    return _check_strings(file) or _check_arrays(file)


def _check_strings(file: h5py.File) -> str:
    for name in (*NAMES, "recipe"):
        data = file[name]
        dimensions = 0 if name == "recipe" else 1
        if h5py.check_string_dtype(data.dtype) is None or data.ndim != dimensions:
            return f"has {name} of another type or shape"
        if _lies_elsewhere(data):
            return f"has the data of {name} outside itself"
    return ""


def _check_arrays(file: h5py.File) -> str:
    mask = file["mask"]
    if mask.ndim != 3 or mask.shape[1] != mask.shape[2] or 0 in mask.shape:
        return "has masks of another shape"
    count, size = mask.shape[:2]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(COLUMNS, (count,))
    shapes |= {"sample_digest": (count, 32), "mask": mask.shape}
    shapes["image"] = (count, size, size, 3)
    for name, shape in shapes.items():
        data, dtype = file[name], COLUMNS.get(name, "u1")
        if data.dtype != np.dtype(dtype):
            return f"has {name} of type {data.dtype}, not {np.dtype(dtype)}"
        if data.shape != shape:
            return f"has {name} of shape {data.shape}, not {shape}"
        if _lies_elsewhere(data):
            return f"has the data of {name} outside itself"
        if not _is_plain(data, compressed=name in ("image", "mask")):
            return f"has {name} in another layout than a shard's"
    return ""


def _lies_elsewhere(data: h5py.Dataset) -> bool:
    """Say whether a data set's values are those of other files or data sets."""
    stored = data.id.get_create_plist()
    return bool(stored.get_layout() == h5d.VIRTUAL or stored.get_external_count())


def _is_plain(data: h5py.Dataset, *, compressed: bool) -> bool:
    """Say whether values lie side by side in the file, or a sample in each chunk."""
    if compressed and data.chunks is not None:
        stored = data.id.get_create_plist()
        filters = [stored.get_filter(k)[0] for k in range(stored.get_nfilters())]
        by_sample = data.chunks == (1, *data.shape[1:])
        return by_sample and filters == [h5z.FILTER_DEFLATE]
    start = data.id.get_offset()
    size = data.file.id.get_filesize()
    return start is not None and start + data.nbytes <= size
