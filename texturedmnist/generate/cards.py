"""`README.md`, `croissant.json` and `preview.png` of a folder, and their digests."""

from pathlib import Path

from texturedmnist.card import make_cards
from texturedmnist.common.digest import file_digest
from texturedmnist.common.files import write_atomically
from texturedmnist.generate.folder import PREVIEW_NAME
from texturedmnist.manifest import (
    TABLE_NAME,
    Manifest,
    check_file,
    seal,
    write_manifest,
)
from texturedmnist.preview import write_preview


def write_cards(folder: Path, manifest: Manifest) -> tuple[Path, ...]:
    """Write both cards and their digests in the manifest; return the cards' paths.

    Each file is written atomically; the manifest comes last.

    Raises:
        DatasetError: the table is missing.
        WriteError: the disk is full, or the folder can't be written.
    """
    digests = _write_cards(folder, manifest)
    _write_digests(folder, manifest, digests)
    return tuple(folder / name for name in digests)


def refresh_preview(folder: Path, manifest: Manifest) -> Path:
    """Draw a folder's contact sheet again; return its path, as `write_cards` does."""
    _write_digests(folder, manifest, _write_preview(folder, manifest))
    return folder / PREVIEW_NAME


def finish_folder(folder: Path, manifest: Manifest) -> Manifest:
    """Write all that follows from the shards and the table; the manifest comes last.

    Returns:
        The manifest as it was written, with the digests of the other files.
    """
    digests = _write_preview(folder, manifest) | _write_cards(folder, manifest)
    return _write_digests(folder, manifest, digests)


def _write_preview(folder: Path, manifest: Manifest) -> dict[str, str]:
    path = folder / PREVIEW_NAME
    write_preview(folder, manifest, path)
    return {PREVIEW_NAME: file_digest(path)}


def _write_cards(folder: Path, manifest: Manifest) -> dict[str, str]:
    digests = {}
    table = check_file(folder / TABLE_NAME)
    for name, text in make_cards(manifest, table.st_size).items():
        write_atomically(folder / name, text)
        digests[name] = file_digest(folder / name)
    return digests


def _write_digests(
    folder: Path, manifest: Manifest, digests: dict[str, str]
) -> Manifest:
    update = {"files": {**manifest.files, **digests}}
    sealed = seal(manifest.model_copy(update=update))
    write_manifest(folder, sealed)
    return sealed
