"""What an export would take."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from texturedmnist.common.progress import show_bytes
from texturedmnist.generate.folder import free_bytes
from texturedmnist.interop.export.base import Export
from texturedmnist.interop.export.png import encode
from texturedmnist.manifest import DatasetError

TRIED = 16  # samples that an estimate stands on
SAMPLE_BYTES = 512  # of names, columns and what a file system adds, rounded up


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
