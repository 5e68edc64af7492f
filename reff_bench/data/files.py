"""Splits of image files, decoded once for all runs: `file_split`."""

import io
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reff_bench.data.on_device import DevicePixels, NoRoomError, store_pixels
from reff_bench.data.pixels import (
    FilePixels,
    IndexedPixels,
    MemoryPixels,
    PixelSource,
    in_memory,
)
from reff_bench.data.split import Split
from reff_bench.identity.tree import DataError
from reff_bench.torch_files import save_torch
from texturedmnist.common.cache import Cache, cached
from texturedmnist.common.digest import json_digest
from texturedmnist.common.files import check_digest, one_writer, write_atomically

Made = TypeVar("Made")
DECODED_VERSION = 2  # raised when the same files would give other pixels


@cached(6)
def open_pixels(_: Cache, source: FilePixels, cache_dir: Path) -> PixelSource:
    """Return the source, in memory if it fits, decoded once for all runs.

    What was decoded is kept under `cache_dir`, by the names and sizes of the files.
    """
    path = cache_dir / "decoded" / f"{_key(source)}.pt"
    return _kept(path, partial(_read_decoded, source), partial(_decode, source))


def _kept(
    path: Path, read: Callable[[Path], Made | None], make: Callable[[Path], Made]
) -> Made:
    """Return what a file holds; make it where it is absent or broken.

    Safe for several processes at once: one makes it, the others wait.
    """
    found = read(path)
    if found is not None:
        return found
    with one_writer(path):
        found = read(path)  # while this process waited, another may have made it
        return make(path) if found is None else found


def _read_decoded(source: FilePixels, path: Path) -> PixelSource | None:
    """Return what was kept; None if there is nothing, or not all of it."""
    count, size = len(source.images), source.size
    try:
        check_digest(path, required=True)
        content = torch.load(path, weights_only=True, mmap=True)
        images, masks = content["images"], content["masks"]
        if images.shape != (count, 3, size, size) or masks.shape != (count, size, size):
            return None
        return MemoryPixels(images, masks)
    except Exception:
        return None


def _decode(source: FilePixels, path: Path) -> PixelSource:
    pixels = in_memory(source, len(source.images), source.size)
    if isinstance(pixels, MemoryPixels):
        save_torch({"images": pixels.images, "masks": pixels.masks}, path)
    return pixels


@cached(6)
def find_annotated(cache: Cache, source: FilePixels, cache_dir: Path) -> Tensor:
    """Return (n,) bool: which masks show something relevant at the source's size.

    A mask without any relevant pixel says nothing: its image counts as not annotated.
    Pixels that don't fit into memory are read once for all runs, as `open_pixels`'s.
    """
    pixels = open_pixels(cache, source, cache_dir)
    if isinstance(pixels, MemoryPixels):
        return pixels.masks.flatten(1).any(1).bool()
    path = cache_dir / "decoded" / f"{_key(source)}.annotated.npy"
    return _kept(
        path, partial(_read_annotated, source), partial(_write_annotated, source)
    )


def _read_annotated(source: FilePixels, path: Path) -> Tensor | None:
    with suppress(OSError, ValueError, EOFError):
        check_digest(path, required=True)
        kept = np.load(path, allow_pickle=False)
        if kept.dtype == np.bool_ and kept.shape == (len(source.masks),):
            return torch.from_numpy(kept)
    return None


def _write_annotated(source: FilePixels, path: Path) -> Tensor:
    rows = range(len(source.masks))
    found = torch.tensor([bool(source.read_mask(row).any()) for row in rows])
    content = io.BytesIO()
    np.save(content, found.numpy())
    write_atomically(path, content.getvalue(), digest=True)
    return found


def file_split(
    cache: Cache,
    source: FilePixels,
    labels: NDArray[np.int64],
    cache_dir: Path,
    device: torch.device,
    rows: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> Split:
    """Return a split of image files.

    Images whose mask is absent, or has no relevant pixel, aren't annotated.

    Args:
        cache: what was read stays here for the next run.
        source: of image files.
        labels: (n,) one per file.
        cache_dir: see `open_pixels`.
        device: where batches will be used.
        rows: which of the files belong to the split; all by default.
        groups: (n,) one per file; the labels by default.

    Raises:
        DataError: a file can't be read, or no mask shows anything.
    """
    classes = torch.from_numpy(labels)
    group = classes if groups is None else torch.from_numpy(groups)
    pixels = open_pixels(cache, source, cache_dir)
    annotated = find_annotated(cache, source, cache_dir)
    has_mask = torch.tensor([path is not None for path in source.masks])
    if has_mask.any() and not annotated.any():
        raise DataError(
            f"none of the {int(has_mask.sum())} masks shows anything relevant, the "
            f"first is {next(path for path in source.masks if path is not None)}; "
            "unpack the official archive again"
        )
    on_device: DevicePixels | None = None
    with suppress(NoRoomError):
        on_device = _cache_on_device(cache, source, cache_dir, device)
    if rows is not None:
        chosen = torch.from_numpy(rows)
        pixels = IndexedPixels(pixels, chosen)
        classes, group = classes[chosen], group[chosen]
        annotated = annotated[chosen]
        has_mask = has_mask[chosen]
        if on_device is not None:
            on_device = IndexedPixels(on_device, chosen.to(device))
    known = (classes, group, annotated)
    empty = int((has_mask & ~annotated).sum())
    return Split(pixels, *known, source.size, on_device=on_device, empty_masks=empty)


@cached(3)
def _cache_on_device(
    cache: Cache, source: FilePixels, cache_dir: Path, device: torch.device
) -> DevicePixels:
    """Bring the pixels of all files to a device, for this run and the next ones."""
    pixels = open_pixels(cache, source, cache_dir)
    return store_pixels(pixels, len(source.images), source.size, device)


def _key(source: FilePixels) -> str:
    files = [
        None if path is None else (str(path.resolve()), path.stat().st_size)
        for path in (*source.images, *source.masks)
    ]
    facts = [DECODED_VERSION, files, source.coding, source.size]
    return json_digest(facts)[:32]
