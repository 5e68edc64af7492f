"""From a dataset to a finished export, in parallel, resumably."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from pathlib import Path

from texturedmnist import __version__
from texturedmnist.card import CARD_NAME, data_card
from texturedmnist.common.executors import local, run_tasks, sole_writer
from texturedmnist.common.files import unwritable, write_atomically
from texturedmnist.common.progress import Progress, show_bytes
from texturedmnist.generate import verify
from texturedmnist.generate.folder import free_bytes
from texturedmnist.interop.export.base import LAYOUTS, Export, Written, encode
from texturedmnist.interop.export.record import (
    BEGUN_NAME,
    FORMAT_VERSION,
    RECORD_NAME,
    ExportRecord,
    check_out,
    write_record,
)
from texturedmnist.manifest import DatasetError, read_manifest

TRIED = 16  # samples that an estimate stands on
SAMPLE_BYTES = 512  # of names, columns and what a file system adds, rounded up


def plan_export(folder: Path, layout: str, out: Path | None = None) -> Export:
    """Check the dataset and the export's folder; nothing is written.

    Args:
        folder: a finished dataset.
        layout: one of `LAYOUTS`.
        out: the export's folder, new or a part of the same export; beside the dataset
            and named after it and the layout if None.

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
        write_record(export.out / BEGUN_NAME, record)
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
    write_record(export.out / RECORD_NAME, whole)
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
            f"time: about {plan.seconds / jobs:.0f} s of encoding on {jobs} cores, and "
            "the disk's",
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
