"""What to export, where to, and how: checked before anything is written."""

from dataclasses import dataclass
from pathlib import Path

from texturedmnist.generate import verify
from texturedmnist.interop.export.layout import Layout, load_layout
from texturedmnist.interop.export.record import check_out
from texturedmnist.manifest import DatasetError, Manifest, read_manifest


@dataclass(frozen=True, slots=True)
class Export:
    """An export to be made.

    Attributes:
        folder: the dataset.
        out: the export's folder.
        manifest: of the dataset.
        layout: how the samples will lie.
    """

    folder: Path
    out: Path
    manifest: Manifest
    layout: Layout

    @property
    def samples(self) -> int:
        """Number of samples of all splits."""
        return sum(split.count for split in self.manifest.splits.values())


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
    export = Export(folder, out, manifest, load_layout(layout))
    check_out(out, manifest, export.layout)
    return export
