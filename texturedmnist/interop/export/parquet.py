"""Parquet files as `datasets.load_dataset` reads them, images and masks as PNG."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from texturedmnist.card.readme import Storage
from texturedmnist.common.digest import file_digest
from texturedmnist.common.executors import Report
from texturedmnist.common.files import atomic
from texturedmnist.interop.errors import missing_package
from texturedmnist.interop.export.base import (
    COLUMNS,
    Export,
    Pixels,
    Written,
    describe_features,
    encode,
    holds,
)
from texturedmnist.manifest import Manifest
from texturedmnist.shards import ShardSpec

try:
    import pyarrow as pa
    from pyarrow import parquet as pq
except ImportError as error:
    raise missing_package("pyarrow", error) from None

GROUP_SAMPLES = 100  # of a row group: what a reader must hold at once
SPLIT_NAMES = (("val", "validation"),)  # ours, theirs, where they differ
DATA_FILES = "data/{split}-*.parquet"


FIELDS = """| column | feature | meaning |
| --- | --- | --- |
| `image` | Image | RGB |
| `mask` | Image | one bit a pixel: 1 (white) exactly where the digit's texture is |
| `label` | ClassLabel | the digit |
| `background_texture`, `digit_texture` | ClassLabel | classes |
| `background_aligned`, `digit_aligned` | bool | the class is assigned to the label |
| `index` | int64 | place in the split |"""


@dataclass(frozen=True)
class ParquetExport(Export):
    """Parquet files, each of which stands on its own."""

    part_samples: int = 2_000  # about 120 MB at 224 px
    layout: ClassVar[str] = "parquet"
    storage: ClassVar[Storage] = Storage(
        access="Parquet files, images and masks in them as PNG: "
        "`datasets.load_dataset(folder)` reads them.",
        fields=FIELDS,
        example='`datasets.load_dataset(folder)["train"][0]` is one, say.',
        data_files=DATA_FILES,
        split_names=SPLIT_NAMES,
    )

    def owns(self, path: str) -> bool:
        """Say whether a path, relative to the export, is one of its files."""
        return any(relative_path(part) == path for part in self.parts)

    def prepare(self) -> None:
        """Make the folder."""
        (self.out / "data").mkdir(exist_ok=True)

    def write_part(self, part: ShardSpec, report: Report) -> Written:
        """Write the part's file, or keep the one that holds the very same."""
        path = self.out / relative_path(part)
        if not self._keep(path, part, report):
            self._write(path, part, report)
        return Written(path.stat().st_size, {relative_path(part): file_digest(path)})

    def _keep(self, path: Path, part: ShardSpec, report: Report) -> bool:
        """Say whether the file is there and holds what it should."""
        counted = 0
        try:
            for rows in self._same_rows(path, part):
                counted += rows
                report(rows)
        except (pa.ArrowException, OSError):
            pass  # damaged, or no Parquet
        if counted != part.count:
            report(-counted)
        return counted == part.count

    def _same_rows(self, path: Path, part: ShardSpec) -> Iterator[int]:
        """Yield the size of each row group up to the first that isn't as it should."""
        if not path.exists():
            return
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema, groups = make_schema(self.manifest), -(-part.count // GROUP_SAMPLES)
            if not file.schema_arrow.equals(schema, check_metadata=True):
                return
            if (file.metadata.num_rows, file.num_row_groups) != (part.count, groups):
                return
            for number, (pixels, columns) in enumerate(self._groups(part)):
                if not _holds(file.read_row_group(number), pixels, columns):
                    return
                yield len(pixels)

    def _write(self, path: Path, part: ShardSpec, report: Report) -> None:
        schema = make_schema(self.manifest)
        with (
            atomic(path) as temporary,
            pq.ParquetWriter(
                temporary,
                schema,
                compression="none",  # PNG is compressed
                use_dictionary=list(COLUMNS),
                write_statistics=list(COLUMNS),
                write_page_checksum=True,
            ) as writer,
        ):
            for pixels, columns in self._groups(part):
                writer.write_table(pa.table(_pngs(pixels) | columns, schema))
                report(len(pixels))

    def _groups(self, part: ShardSpec) -> Iterator[tuple[list[Pixels], dict[str, Any]]]:
        """Yield the pixels and the columns of each row group."""
        columns = self.read_columns(part, list(COLUMNS))
        for name, kind in COLUMNS.items():
            columns[name] = columns[name].astype("bool" if kind == "bool" else "int64")
        pixels = self.read_pixels(part)
        for start in range(0, part.count, GROUP_SAMPLES):
            rows = slice(start, start + GROUP_SAMPLES)
            group = list(islice(pixels, GROUP_SAMPLES))
            yield group, {name: column[rows] for name, column in columns.items()}


def make_schema(manifest: Manifest) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return the files' schema, with the features as `datasets` notes them."""
    png = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    types = {"bool": pa.bool_()}
    fields = {name: types.get(kind, pa.int64()) for name, kind in COLUMNS.items()}
    notes = {
        "huggingface": json.dumps({"info": {"features": describe_features(manifest)}}),
        "texturedmnist": json.dumps({"identity": manifest.identity}),
    }
    return pa.schema({"image": png, "mask": png, **fields}, notes)


def relative_path(part: ShardSpec) -> str:
    """Return a file's path in the export."""
    split = dict(SPLIT_NAMES).get(part.split, part.split)
    return f"data/{split}-{part.number:05d}-of-{part.total:05d}.parquet"


def _pngs(pixels: list[Pixels]) -> dict[str, list[dict[str, bytes | None]]]:
    """Return the columns of images and masks."""
    return {
        name: [{"bytes": encode(pair[number]), "path": None} for pair in pixels]
        for number, name in enumerate(("image", "mask"))
    }


def _holds(found: Any, pixels: list[Pixels], columns: dict[str, Any]) -> bool:  # noqa: ANN401
    """Say whether a row group holds these pixels and columns."""
    for name, values in columns.items():
        if found[name].to_pylist() != values.tolist():
            return False
    for number, name in enumerate(("image", "mask")):
        pngs = [row["bytes"] for row in found[name].to_pylist()]
        if not all(holds(png, p[number]) for png, p in zip(pngs, pixels, strict=True)):
            return False
    return True
