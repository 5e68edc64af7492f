"""What an export says of itself, and what its folder may hold."""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from texturedmnist.card import CARD_NAME
from texturedmnist.common.digest import parse_json
from texturedmnist.common.files import write_atomically
from texturedmnist.common.text import shown_text
from texturedmnist.generate.folder import folder_exists, refuse_foreign
from texturedmnist.interop.export.base import Export
from texturedmnist.manifest import DatasetError

RECORD_NAME = "export.json"  # written last: the export is finished when it is there
BEGUN_NAME = ".export.json"  # written first: the folder is an export's from then on
FORMAT_VERSION = 1


class ExportRecord(BaseModel):
    """An export's `export.json`.

    Attributes:
        format_version: of the export.
        package_version: of the `texturedmnist` that wrote it.
        layout: `folder` or `parquet`.
        identity: of the dataset; see `Manifest`.
        splits: number of samples, by the dataset's own names.
        bytes: of all samples' files; 0 while they are being written.
        files: sha256 (hex) by path: of the table, or of the Parquet files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    package_version: str
    layout: str
    identity: str
    splits: dict[str, int]
    bytes: int = 0
    files: dict[str, str] = {}


def write_record(path: Path, record: ExportRecord) -> None:
    """Write it, atomically."""
    text = record.model_dump_json(indent=2) + "\n"
    write_atomically(path, text.encode())


def read_record(out: Path) -> ExportRecord | None:
    """Return what an export's folder says of itself, None if it says nothing."""
    for name in (BEGUN_NAME, RECORD_NAME):
        if not (out / name).is_file():
            continue
        try:
            return ExportRecord(**parse_json((out / name).read_bytes()))
        except (OSError, ValueError):  # pydantic's errors are ValueErrors
            continue
    return None


def check_out(export: Export) -> None:
    """Refuse a folder that holds anything but a part of this very export.

    Hidden files are left alone.

    Raises:
        DatasetError: the folder is a file or holds something else; nothing is changed.
    """
    out, identity = export.out, export.manifest.identity
    if not folder_exists(out):
        return
    record = read_record(out)
    if record is not None and record.identity != identity:
        other = shown_text(record.identity[:12])
        raise DatasetError(
            f"{out} holds an export of another dataset (identity {other}, this one is "
            f"{identity[:12]}); choose another folder with --out"
        )
    if record is not None and record.layout != export.layout:
        raise DatasetError(
            f"{out} holds an export with --layout {shown_text(record.layout)}; choose "
            "another folder with --out"
        )
    own = () if record is None else (RECORD_NAME, CARD_NAME)
    foreign = [
        path
        for path in _visible(out)
        if path not in own and (record is None or not export.owns(path))
    ]
    refuse_foreign(out, foreign, "this export's")


def _visible(folder: Path) -> Iterator[str]:
    """Yield the paths of all files below a folder, hidden ones left out."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in files:
            if name[0] != ".":
                yield (Path(place) / name).relative_to(folder).as_posix()
