"""From a dataset to a finished export, in parallel, resumably."""

import os
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from texturedmnist import __version__
from texturedmnist.card import CARD_NAME, data_card
from texturedmnist.common.executors import local, run_tasks, sole_writer
from texturedmnist.common.files import unwritable, write_atomically
from texturedmnist.common.progress import Progress
from texturedmnist.generate import verify
from texturedmnist.interop.export.base import LAYOUTS, Export, Written
from texturedmnist.interop.export.estimate import check_room
from texturedmnist.interop.export.record import (
    BEGUN_NAME,
    FORMAT_VERSION,
    RECORD_NAME,
    ExportRecord,
    check_out,
    write_record,
)
from texturedmnist.manifest import DatasetError, read_manifest


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
