"""What the layouts of an export have in common."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from texturedmnist.card.storage import Storage
from texturedmnist.common.executors import Report
from texturedmnist.interop.export.samples import Part
from texturedmnist.manifest import Manifest

LAYOUTS: Mapping[str, str] = {  # name -> the module that holds its `LAYOUT`
    "folder": "texturedmnist.interop.export.folder",
    "parquet": "texturedmnist.interop.export.parquet",
}


class Written(NamedTuple):
    """What a finished part takes: its bytes, and the sha256 (hex) of listed files."""

    bytes: int
    files: dict[str, str]


class Work(Protocol):
    """Writes one part, or keeps of it what is there and whole."""

    def __call__(self, part: Part, report: Report) -> Written:
        """Return what the finished part takes; `report` counts its samples."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples lie in an export.

    Attributes:
        name: as `--layout` takes it.
        part_samples: samples of one task.
        owns: says for (manifest, part_samples, path) whether the path, relative to the
            export, is one of its files.
        prepare: makes the folders.
        work: returns what writes the parts, for (dataset, export, manifest).
        finish: writes what stands on all parts, for the same; returns its sha256 (hex)
            by file.
        storage: what the export's card says of the files.
    """

    name: str
    part_samples: int
    owns: Callable[[Manifest, int, str], bool]
    prepare: Callable[[Path, Manifest], None]
    work: Callable[[Path, Path, Manifest], Work]
    finish: Callable[[Path, Path, Manifest], dict[str, str]]
    storage: Storage


def load_layout(name: str) -> Layout:
    """Return a layout, one of `LAYOUTS`.

    Raises:
        MissingPackageError: what it stands on isn't installed.
    """
    layout: Layout = importlib.import_module(LAYOUTS[name]).LAYOUT
    return layout
