"""PNG files and one table for SubpopBench, group_DRO, DFR and JTT."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from texturedmnist.card.readme import Storage
from texturedmnist.common.executors import Report
from texturedmnist.common.files import write_atomically
from texturedmnist.generate.cards import TABLE_COLUMNS
from texturedmnist.interop.export.base import Export, Written, encode, holds
from texturedmnist.manifest import TABLE_NAME
from texturedmnist.shards import ShardSpec

METADATA_NAME = "metadata.csv"
KINDS = ("images", "masks")
PLACE = re.compile(r"(\w+)/(?:images|masks)/(\d{6,})\.png")
REPORT_SAMPLES = 16
# As in those four projects; they leave out the rows of any other number.
SPLIT_NUMBERS = {"train": 0, "val": 1, "test": 2, "val_shifted": 3}
COPIED = tuple(c for c in TABLE_COLUMNS if c not in ("split", "shard", "label"))
COLUMNS = (
    *("img_id", "img_filename", "y", "split", "place", "place_filename"),  # Waterbirds'
    *("filename", "a"),  # SubpopBench's
    *("mask_filename", "split_name"),
    *COPIED,
)
# As `datasets` reads a folder of images: what ends on `_file_name` is one, too.
SPLIT_COLUMNS = ("file_name", "mask_file_name", "label", *COPIED)


FIELDS = """| column of `metadata.csv` | meaning |
| --- | --- |
| `img_filename`, `filename` | the image, RGB, relative to this folder |
| `mask_filename` | its mask, one bit a pixel: 1 (white) exactly where the digit's texture was painted |
| `img_id` | number of the row |
| `y` | the digit |
| `split` | 0 train, 1 val, 2 test, 3 val_shifted; `split_name` has the words |
| `place`, `a`, `background_aligned` | 1: the background is assigned to the label, else 0 |
| `place_filename`, `background_texture_file`, `digit_texture_file` | the files that background and digit texture are crops of |
| `index` | place in the split |
| `digit` | number of the digit's image in its source |
| `digit_texture`, `background_texture` | classes |
| `digit_aligned` | 1: the digit's texture is assigned to the label, else 0 |
| `group` | 2 * y + place |"""  # noqa: E501 (a table's row is one line)


@dataclass(frozen=True)
class FolderExport(Export):
    """PNG files, a table of all samples and one of each split."""

    part_samples: int = 500
    layout: ClassVar[str] = "folder"
    storage: ClassVar[Storage] = Storage(
        access="PNG files in `SPLIT/images` and `SPLIT/masks`, and `metadata.csv`, "
        "whose columns SubpopBench, group_DRO, DFR and JTT read as they are. Hugging "
        "Face's `imagefolder` reads the `metadata.csv` in each split's folder.",
        fields=FIELDS,
        example="`train/images/000000.png` and `train/masks/000000.png`, its mask.",
    )

    def owns(self, path: str) -> bool:
        """Say whether a path, relative to the export, is one of its files."""
        tables = (METADATA_NAME, *(f"{name}/{METADATA_NAME}" for name in self.counts))
        if path in tables:
            return True
        found = PLACE.fullmatch(path)
        if found is None or found[1] not in self.counts:
            return False
        index = int(found[2])
        return index < self.counts[found[1]] and f"{index:06d}" == found[2]

    def prepare(self) -> None:
        """Make the folders."""
        for split in self.counts:
            for kind in KINDS:
                (self.out / split / kind).mkdir(parents=True, exist_ok=True)

    def write_part(self, part: ShardSpec, report: Report) -> Written:
        """Write what isn't there yet, or isn't whole."""
        size, waiting = 0, 0
        for index, pair in enumerate(self.read_pixels(part), part.start):
            for kind, pixels in zip(KINDS, pair, strict=True):
                path = self.out / relative_path(part.split, kind, index)
                size += _keep_or_write(path, pixels)
            waiting += 1
            if waiting == REPORT_SAMPLES:
                report(waiting)
                waiting = 0
        report(waiting)
        return Written(size, {})

    def finish(self) -> dict[str, str]:
        """Write the tables, from the dataset's own."""
        with (self.folder / TABLE_NAME).open(encoding="utf-8", newline="") as file:
            rows = [*csv.DictReader(file)]
        whole = _write_csv(self.out / METADATA_NAME, COLUMNS, _metadata(rows))
        digests = {METADATA_NAME: whole}
        for split in self.counts:
            name = f"{split}/{METADATA_NAME}"
            mine = _split_metadata(row for row in rows if row["split"] == split)
            digests[name] = _write_csv(self.out / name, SPLIT_COLUMNS, mine)
        return digests


def relative_path(split: str, kind: str, index: int) -> str:
    """Return a file's path in the export; `kind` is `images` or `masks`."""
    return f"{split}/{kind}/{index:06d}.png"


def _keep_or_write(path: Path, pixels: NDArray[np.uint8]) -> int:
    """Make the file hold the pixels; return its size in bytes."""
    content = _read(path)
    if not holds(content, pixels):
        content = encode(pixels)
        write_atomically(path, content, durable=False)  # the end brings all to disk
    return len(content)


def _read(path: Path) -> bytes:
    """Return a file's content, nothing if it isn't there or can't be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]
) -> str:
    """Write a table; return its sha256 (hex)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _split_metadata(rows: Iterable[Mapping[str, str]]) -> Iterator[dict[str, object]]:
    """Yield rows whose paths are relative to the split's folder."""
    for row in rows:
        image, mask = (
            relative_path(row["split"], kind, int(row["index"])).partition("/")[2]
            for kind in KINDS
        )
        copied = {name: row[name] for name in COPIED}
        pixels = {"file_name": image, "mask_file_name": mask}
        yield {**pixels, "label": row["label"], **copied}


def _metadata(rows: Iterable[Mapping[str, str]]) -> Iterator[dict[str, object]]:
    for number, row in enumerate(rows):
        image, mask = (
            relative_path(row["split"], kind, int(row["index"])) for kind in KINDS
        )
        yield {
            "img_id": number,
            "img_filename": image,
            "y": row["label"],
            "split": SPLIT_NUMBERS[row["split"]],
            "place": row["background_aligned"],
            "place_filename": row["background_texture_file"],
            "filename": image,
            "a": row["background_aligned"],
            "mask_filename": mask,
            "split_name": row["split"],
            **{name: row[name] for name in COPIED},
        }
