"""`README.md` and `croissant.json` of a dataset folder."""

from pathlib import Path

from texturedmnist.build.folder import TABLE_NAME
from texturedmnist.card import make_cards
from texturedmnist.manifest import REMAKE, DatasetError, Manifest, write_atomically


def write_cards(folder: Path, manifest: Manifest) -> tuple[Path, ...]:
    """Write both cards, each whole or not at all; return their paths.

    Args:
        folder: the dataset, with its table.
        manifest: of this folder, written or about to be.

    Raises:
        DatasetError: the table is missing.
        WriteError: the disk is full, or the folder can't be written.
    """
    table = folder / TABLE_NAME
    if not table.is_file():
        raise DatasetError(f"{table} is missing; {REMAKE}")
    texts = make_cards(manifest, table.stat().st_size)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return tuple(folder / name for name in texts)
