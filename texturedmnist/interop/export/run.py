"""From a dataset to a finished export, in parallel, resumably."""

import os
from collections.abc import Sequence
from dataclasses import replace

from texturedmnist import __version__
from texturedmnist.card import CARD_NAME, data_card
from texturedmnist.common.executors import local, run_tasks, sole_writer
from texturedmnist.common.files import unwritable, write_atomically
from texturedmnist.common.progress import Progress
from texturedmnist.interop.export.estimate import check_room
from texturedmnist.interop.export.layout import Written
from texturedmnist.interop.export.plan import Export
from texturedmnist.interop.export.record import (
    BEGUN_NAME,
    FORMAT_VERSION,
    RECORD_NAME,
    ExportRecord,
    check_out,
    write_record,
)
from texturedmnist.interop.export.samples import cut_parts


def run_export(export: Export, *, jobs: int = 1, show: bool = False) -> ExportRecord:
    """Write what is missing; keep the files that are there and whole.

    A file is kept if it holds the dataset's very pixels: whatever killed an earlier
    run, nothing of it has to be trusted.

    Args:
        export: what to write.
        jobs: number of processes.
        show: show progress on stderr.

    Returns:
        The record, which has been written last.

    Raises:
        DatasetError: the folder was filled meanwhile, or the disk is too small.
        FolderError: the folder can't be written, or another process writes to it.
        WriteError: the disk is full.
        WorkerError: a process died.
    """
    out, manifest, layout = export.out, export.manifest, export.layout
    record = ExportRecord(
        format_version=FORMAT_VERSION,
        package_version=__version__,
        layout=layout.name,
        identity=manifest.identity,
        splits={name: split.count for name, split in manifest.splits.items()},
    )
    check_room(export)
    with sole_writer(out, leftovers=["**/.*.tmp"]):
        check_out(out, manifest, layout)
        write_record(out / BEGUN_NAME, record)
        try:
            layout.prepare(out, manifest)
        except OSError as error:
            raise unwritable(out, error) from None
        done = _write_parts(export, jobs, show=show)
        return _finish(export, record, done)


def _write_parts(export: Export, jobs: int, *, show: bool) -> Sequence[Written]:
    parts = cut_parts(export.manifest, export.layout.part_samples)
    work = export.layout.work(export.folder, export.out, export.manifest)
    with Progress(export.samples, "export", "samples", show=show) as progress:
        return list(run_tasks(local(jobs), work, parts, report=progress))


def _finish(
    export: Export, record: ExportRecord, done: Sequence[Written]
) -> ExportRecord:
    """Write what stands on all parts, bring all to the disk; the record comes last."""
    out, manifest, layout = export.out, export.manifest, export.layout
    files = {name: digest for one in done for name, digest in one.files.items()}
    files |= layout.finish(export.folder, out, manifest)
    size = sum(one.bytes for one in done)
    storage = replace(layout.storage, bytes_on_disk=size)
    write_atomically(out / CARD_NAME, data_card(manifest, storage).encode())
    if hasattr(os, "sync"):
        os.sync()  # all PNGs at once: an fsync of each would take too long
    whole = record.model_copy(
        update={"bytes": size, "files": dict(sorted(files.items()))}
    )
    write_record(out / RECORD_NAME, whole)
    return whole
