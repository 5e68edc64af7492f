"""A dataset in formats that others read: PNG files with a table, or Parquet."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from texturedmnist import __version__
from texturedmnist.card import CARD_NAME, data_card
from texturedmnist.common.digest import parse_json
from texturedmnist.common.executors import local, run_tasks, sole_writer
from texturedmnist.common.files import unwritable, write_atomically
from texturedmnist.common.progress import Progress, show_bytes
from texturedmnist.common.text import shown_text
from texturedmnist.generate import verify
from texturedmnist.generate.folder import folder_exists, free_bytes, refuse_foreign
from texturedmnist.interop.export.base import LAYOUTS, Export, Written, encode
from texturedmnist.manifest import DatasetError, read_manifest

__all__ = [
    "LAYOUTS",
    "RECORD_NAME",
    "describe_export",
    "estimate_export",
    "plan_export",
    "read_record",
    "run_export",
]

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

    def write(self, path: Path) -> None:
        """Write it, atomically."""
        write_atomically(path, self.model_dump_json(indent=2) + "\n")


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


TRIED = 16  # samples that an estimate stands on
SAMPLE_BYTES = 512  # of names, columns and what a file system adds, rounded up


def plan_export(folder: Path, layout: str, out: Path | None = None) -> Export:
    """Check the dataset and the export's folder; nothing is written.

    `out` is new or a part of the same export; if None, it is beside the dataset and
    named after it and the layout, one of `LAYOUTS`.

    Raises:
        DatasetError: the dataset isn't whole, or the folder holds something else.
        MissingPackageError: what the layout stands on isn't installed.
    """
    manifest = read_manifest(folder)
    problems = verify(folder, quick=True)
    if problems:
        raise DatasetError(problems[0])
    if folder.name in ("", ".."):  # `.` and `..` have no name
        folder = folder.resolve()
    out = out or folder.with_name(f"{folder.resolve().name}_{layout}")
    module, _, name = LAYOUTS[layout].partition(":")
    export: Export = getattr(import_module(module), name)(folder, out, manifest)
    check_out(export)
    return export


def run_export(export: Export, *, jobs: int = 1, show: bool = False) -> ExportRecord:
    """Write what is missing; keep the files that are there and whole.

    A file is kept if it holds the dataset's very pixels: whatever killed an earlier
    run, nothing of it has to be trusted.

    Returns:
        The record, which has been written last.

    Raises:
        DatasetError: the folder was filled meanwhile, or the disk is too small.
        FolderError: the folder can't be written, or another process writes to it.
        WriteError: the disk is full.
        WorkerError: a process died.
    """
    record = ExportRecord(
        format_version=FORMAT_VERSION,
        package_version=__version__,
        layout=export.layout,
        identity=export.manifest.identity,
        splits=export.counts,
    )
    check_room(export)
    with sole_writer(export.out, leftovers=["**/.*.tmp"]):
        check_out(export)
        record.write(export.out / BEGUN_NAME)
        try:
            export.prepare()
        except OSError as error:
            raise unwritable(export.out, error) from None
        with Progress(export.samples, "export", "samples", show=show) as progress:
            work = run_tasks(
                local(jobs), export.write_part, export.parts, report=progress
            )
            done = list(work)
        return _finish(export, record, done)


def _finish(
    export: Export, record: ExportRecord, done: Sequence[Written]
) -> ExportRecord:
    """Write what stands on all parts, bring all to the disk; the record comes last."""
    files = {name: digest for one in done for name, digest in one.files.items()}
    files |= export.finish()
    size = sum(one.bytes for one in done)
    storage = replace(export.storage, bytes_on_disk=size)
    write_atomically(export.out / CARD_NAME, data_card(export.manifest, storage))
    if hasattr(os, "sync"):
        os.sync()  # all PNGs at once: an fsync of each would take too long
    whole = record.model_copy(
        update={"bytes": size, "files": dict(sorted(files.items()))}
    )
    whole.write(export.out / RECORD_NAME)
    return whole


@dataclass(frozen=True, slots=True)
class ExportEstimate:
    """What an export takes: bytes of its files and of the disk, seconds of one core."""

    total_bytes: int
    present_bytes: int
    free_bytes: int
    seconds: float


def estimate_export(export: Export) -> ExportEstimate:
    """Measure on a few samples what the export would take."""
    pairs = list(islice(export.read_pixels(export.parts[0]), TRIED))
    started = time.perf_counter()
    sizes = [len(encode(pixels)) for pair in pairs for pixels in pair]
    seconds = (time.perf_counter() - started) / len(pairs)
    each = sum(sizes) // len(pairs) + SAMPLE_BYTES
    return ExportEstimate(
        total_bytes=export.samples * each,
        present_bytes=_bytes_in(export.out),
        free_bytes=free_bytes(export.out),
        seconds=export.samples * seconds,
    )


def describe_export(export: Export, plan: ExportEstimate, jobs: int) -> str:
    """Return what the export would make, in words."""
    counts = ", ".join(f"{name} {count}" for name, count in export.counts.items())
    return "\n".join(
        (
            f"would export {counts} as {export.layout} to {export.out}",
            f"size: about {show_bytes(plan.total_bytes)}, of which "
            f"{show_bytes(plan.present_bytes)} are there",
            f"free on that disk: {show_bytes(plan.free_bytes)}",
            f"time: about {plan.seconds / jobs:.0f} s of encoding with --jobs {jobs}, "
            "and the disk's",
            f"identity: {export.manifest.identity}",
        )
    )


def check_room(export: Export) -> None:
    """Refuse to begin what can't fit.

    Raises:
        DatasetError: the disk has too little room.
    """
    plan = estimate_export(export)
    needed = plan.total_bytes - plan.present_bytes
    if needed > plan.free_bytes:
        raise DatasetError(
            f"{export.out} needs about {show_bytes(needed)} more, but only "
            f"{show_bytes(plan.free_bytes)} are free: make room, or choose another "
            "disk with --out"
        )


def _bytes_in(folder: Path) -> int:
    """Return the bytes of all files below a folder, 0 if there is none."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # renamed by who writes there now
                size += (Path(place) / name).stat().st_size
    return size
