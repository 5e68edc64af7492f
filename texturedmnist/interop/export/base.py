"""An export, whatever its layout: its parts, and what is read of the dataset."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from texturedmnist.card.readme import Storage
from texturedmnist.common.executors import Report
from texturedmnist.manifest import Manifest, ShardEntry
from texturedmnist.shards import ShardSpec, cut_splits, map_places, read_entry

LAYOUTS: Mapping[str, str] = {  # name -> the class of its exports
    "folder": "texturedmnist.interop.export.folder:FolderExport",
    "parquet": "texturedmnist.interop.export.parquet:ParquetExport",
}
COLUMNS = {  # of a shard and of the export -> as `datasets` calls their features
    "label": "ClassLabel",
    "background_texture": "ClassLabel",
    "digit_texture": "ClassLabel",
    "background_aligned": "bool",
    "digit_aligned": "bool",
    "index": "int64",
}
# Textures hardly compress: the levels 1, 3, 6 and 9 take 2.6, 3.5, 7.8 and 32 ms for
# 57, 53, 51 and 50 KiB at 224 px.
LEVEL = 1
END = b"\0\0\0\0IEND\xaeB`\x82"  # the last chunk of every PNG
# What Pillow raises for bytes that are no whole PNG.
BROKEN = (OSError, SyntaxError, ValueError, EOFError)

Pixels = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Written(NamedTuple):
    """What a finished part takes: its bytes, and the sha256 (hex) of listed files."""

    bytes: int
    files: dict[str, str]


@dataclass(frozen=True)
class Export(ABC):
    """An export to be made, picklable; each layout is a class of its own.

    Attributes:
        folder: the dataset.
        out: the export's folder.
        manifest: of the dataset.
        part_samples: samples of one task.
        layout: as `--layout` takes it.
        storage: what the export's card says of the files.
    """

    folder: Path
    out: Path
    manifest: Manifest
    part_samples: int
    layout: ClassVar[str]
    storage: ClassVar[Storage]

    @property
    def counts(self) -> dict[str, int]:
        """Number of samples by split."""
        return {name: split.count for name, split in self.manifest.splits.items()}

    @property
    def samples(self) -> int:
        """Number of samples of all splits."""
        return sum(self.counts.values())

    @property
    def parts(self) -> list[ShardSpec]:
        """The tasks: parts of the splits."""
        return cut_splits(self.counts, self.part_samples)

    @abstractmethod
    def owns(self, path: str) -> bool:
        """Say whether a path, relative to the export, is one of its files."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the folders."""

    @abstractmethod
    def write_part(self, part: ShardSpec, report: Report) -> Written:
        """Write a part, or keep what of it is there and whole; `report` its samples."""

    def finish(self) -> dict[str, str]:
        """Write what stands on all parts; return its sha256 (hex) by file."""
        return {}

    def read_pixels(self, part: ShardSpec) -> Iterator[Pixels]:
        """Yield a part's images (S, S, 3) and masks (S, S), uint8, one by one."""
        for entry, within in self._pieces(part):
            places = read_entry(self.folder, self.manifest, entry).places
            images, masks = map_places(self.folder / entry.file, places)
            for number in range(within.start, within.stop):
                yield images[number], masks[number]

    def read_columns(
        self, part: ShardSpec, names: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Return some columns of a part: (count,) arrays by name."""
        found: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        for entry, within in self._pieces(part):
            columns = read_entry(self.folder, self.manifest, entry, names).columns
            for name in names:
                found[name].append(columns[name][within])
        return {name: np.concatenate(arrays) for name, arrays in found.items()}

    def _pieces(self, part: ShardSpec) -> Iterator[tuple[ShardEntry, slice]]:
        """Yield the shards that a part lies in, and where in each."""
        for entry in self.manifest.shards_of(part.split):
            first = max(part.start, entry.start)
            last = min(part.start + part.count, entry.start + entry.count)
            if first < last:
                yield entry, slice(first - entry.start, last - entry.start)


def describe_features(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return a sample's features as `datasets` notes them."""
    classes: dict[str, Sequence[str]] = {
        "label": [str(digit) for digit in range(10)],
        "background_texture": manifest.background_texture_classes,
        "digit_texture": manifest.digit_texture_classes,
    }
    features: dict[str, dict[str, Any]] = {
        "image": {"_type": "Image"},
        "mask": {"_type": "Image"},
    }
    for name, kind in COLUMNS.items():
        if kind == "ClassLabel":
            features[name] = {"names": [*classes[name]], "_type": "ClassLabel"}
        else:
            features[name] = {"dtype": kind, "_type": "Value"}
    return features


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image (S, S, 3) as RGB, a mask (S, S) of 0 and 1 as one bit a pixel.

    One bit reads as False and True in Pillow, equal to the mask's 0 and 1, and as
    black and white wherever a person or another program looks at it.
    """
    values = pixels if pixels.ndim == 3 else pixels.astype(bool)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG", compress_level=LEVEL)
    return buffer.getvalue()


def holds(content: bytes, pixels: NDArray[np.uint8]) -> bool:
    """Say whether a PNG holds exactly these pixels; a broken one doesn't."""
    if not content.endswith(END):
        return False
    try:
        with _open(content) as image:
            image.verify()  # every checksum before it: decoding leaves some out
        with _open(content) as image:
            return np.array_equal(np.asarray(image), pixels)
    except BROKEN:
        return False


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=["PNG"])
