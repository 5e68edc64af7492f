"""What an output folder may hold, and who writes to it."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from texturedmnist.card import CARD_NAME, CROISSANT_NAME
from texturedmnist.common.files import unwritable
from texturedmnist.common.progress import show_bytes
from texturedmnist.common.text import shown_text
from texturedmnist.manifest import (
    MANIFEST_NAME,
    TABLE_NAME,
    DatasetError,
    UnreadableError,
    VersionError,
    read_manifest,
)
from texturedmnist.shards import ShardSpec, read_label

PREVIEW_NAME = "preview.png"
SHARD_PATTERN = re.compile(r"(train|val|test|val_shifted)-\d{5,}-of-\d{5,}\.h5")
ROW_BYTES = 512  # a sample's columns, digest and line of the table, rounded up
SHARD_BYTES = 1 << 20  # a shard's class and file names and HDF5's own


def folder_exists(out: Path) -> bool:
    """Return whether there is a folder to write into.

    Raises:
        DatasetError: a file is there.
        FolderError: the path can't be reached.
    """
    try:
        there = out.exists()
    except OSError as error:
        raise unwritable(out, error) from None
    if there and not out.is_dir():
        raise DatasetError(f"{out} is a file; give a folder to --out")
    return there


def check_folder(
    out: Path, identity: str, specs: Sequence[ShardSpec], compression: str
) -> None:
    """Refuse a folder that holds anything but a part of this very dataset.

    Hidden files are left alone; an unreadable shard of a planned name is no obstacle,
    since it is made again.

    Raises:
        DatasetError: the folder is a file or holds something else; nothing is changed.
    """
    if not folder_exists(out):
        return
    names = sorted(path.name for path in out.iterdir() if path.name[0] != ".")
    shards = [name for name in names if SHARD_PATTERN.fullmatch(name)]
    own = {MANIFEST_NAME, TABLE_NAME, PREVIEW_NAME, *shards}
    if shards or MANIFEST_NAME in names:
        own |= {CARD_NAME, CROISSANT_NAME}  # a README.md alone is somebody else's
    refuse_foreign(
        out, [name for name in names if name not in own], "a Textured MNIST's"
    )
    _check_manifest(out, identity, has_shards=bool(shards))
    planned = {spec.file for spec in specs}
    for name in shards:
        _check_existing(out / name, identity, compression, planned=name in planned)


def refuse_foreign(out: Path, foreign: Sequence[str], owner: str) -> None:
    """Refuse a folder in which there are files of somebody else.

    Raises:
        DatasetError: there are such `foreign` paths.
    """
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise DatasetError(
            f"{out} holds files that aren't {owner}: {', '.join(sorted(foreign)[:3])}"
            f"{more}; choose an empty or new folder with --out"
        )


def _check_manifest(out: Path, identity: str, *, has_shards: bool) -> None:
    if not (out / MANIFEST_NAME).exists():
        return
    try:
        found = read_manifest(out).identity
    except (VersionError, UnreadableError):
        raise
    except DatasetError:
        if has_shards:
            return  # a broken manifest beside our shards is written again
        raise
    if found != identity:
        raise DatasetError(_other_data(out, found, identity))


def _check_existing(
    path: Path, identity: str, compression: str, *, planned: bool
) -> None:
    try:
        label = read_label(path)
    except (VersionError, UnreadableError):
        raise
    except DatasetError:
        if planned:
            return
        raise
    if label.identity != identity:
        raise DatasetError(_other_data(path.parent, label.identity, identity))
    if label.compression != compression or not planned:
        raise DatasetError(
            f"{path} belongs to this dataset, but was made with another --shard-size "
            f"or --compression ({label.compression}); repeat them, or choose a new "
            "folder with --out"
        )


def _other_data(out: Path, found: str, identity: str) -> str:
    return (
        f"{out} holds another recipe's data, or data made from other sources (identity "
        f"{shown_text(found[:12])}, this one is {identity[:12]}); choose another "
        "folder with --out"
    )


def missing_bytes(
    out: Path, specs: Sequence[ShardSpec], image_size: int
) -> tuple[int, int]:
    """Return (bytes of all shards, bytes of those that aren't there yet), rounded up.

    Compressed shards are counted as if they weren't: textures hardly shrink.
    """
    total = missing = 0
    for spec in specs:
        size = spec.count * (4 * image_size**2 + ROW_BYTES) + SHARD_BYTES
        total += size
        missing += 0 if (out / spec.file).exists() else size
    return total, missing


def free_bytes(out: Path) -> int:
    """Return the free bytes of the disk on which the folder is or would be made."""
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def check_space(out: Path, specs: Sequence[ShardSpec], image_size: int) -> None:
    """Refuse to begin what can't fit.

    Raises:
        DatasetError: the shards that aren't there yet need more than what is free.
    """
    needed, free = missing_bytes(out, specs, image_size)[1], free_bytes(out)
    if needed > free:
        raise DatasetError(
            f"{out} needs {show_bytes(needed)} more, but only {show_bytes(free)} are "
            "free: make room, choose another disk with --out, or make fewer or smaller "
            "images (--train, --val, --test, --image-size)"
        )
