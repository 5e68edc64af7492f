"""A run's example images and maps."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from reff_bench.results.json_file import ResultsError
from texturedmnist.common.files import check_digest, write_atomically

PANELS_NAME = "panels.npz"
Panels: TypeAlias = dict[str, NDArray[Any]]  # see `reff_bench.evaluate.panels`


def write_panels(folder: Path, panels: Panels) -> None:
    """Write a run's example images and maps atomically, their digest beside them."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **panels)
    write_atomically(folder / PANELS_NAME, file.getvalue(), digest=True)


def read_panels(folder: Path) -> Panels | None:
    """Return a run's example images and maps, or None where there are none.

    Raises:
        ResultsError: the file is broken.
    """
    path = folder / PANELS_NAME
    if not path.is_file():
        return None
    try:
        check_digest(path)
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return dict(file)
    # Besides digests: what zipfile and numpy meet in a file that is none of theirs.
    except (*_UNREADABLE, ValueError):
        raise ResultsError(
            f"{path} is broken; 'reff-bench evaluate {folder}' writes it again"
        ) from None


_UNREADABLE = (
    *(EOFError, BadZipFile, zlib.error, KeyError, IndexError, struct.error),
    *(NotImplementedError, RuntimeError, SyntaxError, TypeError, AttributeError),
)
