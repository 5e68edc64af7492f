"""Finding the files of an official tree, whatever the case of their names."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reff_bench.data.errors import DataError
from reff_bench.data.pixels import (
    FilePixels,
    IndexedPixels,
    MemoryPixels,
    PixelSource,
    in_memory,
)
from reff_bench.data.resident import (
    NoRoomError,
    ResidentPart,
    ResidentPixels,
    store_pixels,
)
from reff_bench.data.split import Split
from reff_bench.grid import Cell
from reff_bench.identity import identify_cells
from texturedmnist.manifest import temporary_name

DECODED_VERSION = 1  # raised when the same files would give other pixels


def list_files(folder: Path, suffix: str, remedy: str) -> dict[str, Path]:
    """Return the files whose name ends in `suffix`, by the rest of their name.

    Upper and lower case are one: `ISIC_0000000_Segmentation.PNG` is there under
    `isic_0000000` for the suffix `_segmentation.png`.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}; {remedy}")
    return {
        path.name.lower().removesuffix(suffix): path
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(suffix)
    }


def pick_files(
    files: Mapping[str, Path], names: Iterable[str], what: str, place: Path
) -> tuple[Path, ...]:
    """Return the file of each name.

    Raises:
        DataError: one is missing; says which and how many.
    """
    wanted = list(names)
    missing = [name for name in wanted if name.lower() not in files]
    if missing:
        raise DataError(
            f"{place} lacks the {what} of {len(missing)} of {len(wanted)} images, the "
            f"first is {missing[0]}; unpack the official archive there again"
        )
    return tuple(files[name.lower()] for name in wanted)


def read_lines(path: Path, remedy: str) -> list[str]:
    """Return the lines of a list that aren't empty or a comment.

    Raises:
        DataError: there is no such file, or nothing in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}; {remedy}") from None
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    if not kept:
        raise DataError(f"{path} is empty; {remedy}")
    return kept


def identity_of(cell: Cell, data_root: Path) -> str:
    """Return the sha256 (hex) that stands for the cell's data."""
    (identified,) = identify_cells([cell], data_root=data_root, cache_dir=None)
    return str(identified.data_identity)


@lru_cache(maxsize=6)
def open_pixels(source: FilePixels, cache_dir: Path) -> PixelSource:
    """Return the source, in memory if it fits, decoded once for all runs.

    What was decoded is kept under `cache_dir`, by the names and sizes of the files.

    Args:
        source: of image files.
        cache_dir: of this package; made if it isn't there.
    """
    path = cache_dir / "decoded" / f"{_key(source)}.pt"
    if path.is_file():
        content = torch.load(path, weights_only=True, mmap=True)
        return MemoryPixels(content["images"], content["masks"])
    pixels = in_memory(source, len(source.images), source.size)
    if isinstance(pixels, MemoryPixels):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(path)
        torch.save({"images": pixels.images, "masks": pixels.masks}, temporary)
        temporary.replace(path)
    return pixels


def file_split(
    source: FilePixels,
    labels: NDArray[np.int64],
    cache_dir: Path,
    device: torch.device,
    rows: NDArray[np.int64] | None = None,
) -> Split:
    """Return a split of image files; its groups are its classes.

    Args:
        source: of image files.
        labels: (n,) one per file.
        cache_dir: see `open_pixels`.
        device: where batches will be used.
        rows: which of the files belong to the split; all by default.
    """
    classes = torch.from_numpy(labels)
    has_mask = torch.tensor([path is not None for path in source.masks])
    pixels = open_pixels(source, cache_dir)
    resident: ResidentPixels | None = None
    with suppress(NoRoomError):
        resident = _reside(source, cache_dir, device)
    if rows is not None:
        chosen = torch.from_numpy(rows)
        pixels = IndexedPixels(pixels, chosen)
        classes, has_mask = classes[chosen], has_mask[chosen]
        if resident is not None:
            resident = ResidentPart(resident, chosen.to(device))
    known = (classes, classes, has_mask)
    return Split(pixels, *known, source.size, resident=resident)


@lru_cache(maxsize=3)
def _reside(
    source: FilePixels, cache_dir: Path, device: torch.device
) -> ResidentPixels:
    """Bring the pixels of all files to a device, for this cell and the next ones."""
    pixels = open_pixels(source, cache_dir)
    return store_pixels(pixels, len(source.images), source.size, device)


def _key(source: FilePixels) -> str:
    files = [
        None if path is None else (str(path.resolve()), path.stat().st_size)
        for path in (*source.images, *source.masks)
    ]
    facts = [DECODED_VERSION, files, source.relevant, source.size]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
