"""What a finished dataset folder says of itself: `manifest.json`."""

import json
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
REMAKE = "run the same 'texturedmnist generate' again to write it anew"


class DatasetError(ValueError):
    """A dataset folder that can't be used: says which file, and what to do."""


class WriteError(RuntimeError):
    """A file couldn't be written; what was finished before is kept."""


class VersionError(DatasetError):
    """A file of a format version that this package doesn't read."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShardEntry(_Entry):
    """One HDF5 file.

    Attributes:
        file: its name in the folder.
        split: `train`, `val`, `test` or `val_shifted`.
        number: its place among the split's shards.
        start: index of its first sample.
        count: number of its samples.
        bytes: size of the file.
        digest: sha256 (hex) over its samples' digests, whatever the storage.
        sha256: sha256 (hex) of the file.
    """

    file: str
    split: str
    number: int
    start: int
    count: int
    bytes: int
    digest: str
    sha256: str


class SplitEntry(_Entry):
    """One split.

    Attributes:
        count: number of samples.
        digest: sha256 (hex) over all its samples' digests, whatever the shard size.
        groups: number of samples by group, 2 * label + background_aligned.
    """

    count: int
    digest: str
    groups: dict[str, int]


class Manifest(_Entry):
    """Everything that is known of a finished dataset.

    Attributes:
        format_version: of the folder and its shards.
        package_version: of the `texturedmnist` that wrote it.
        recipe_version: raised when a recipe comes to mean other samples.
        identity: sha256 (hex) of the recipe without paths and the sources' pixels.
        recipe: the resolved recipe, without paths.
        sources: sha256 (hex) of the decoded digits and textures, by role.
        environment: versions of what decoded and wrote.
        digit_texture_classes: names by class number.
        background_texture_classes: names by class number.
        splits: by name.
        shards: in the order of splits and indices.
        files: sha256 (hex) of `samples.csv`, by name.
    """

    format_version: int
    package_version: str
    recipe_version: int
    identity: str
    recipe: dict[str, Any]
    sources: dict[str, str]
    environment: dict[str, str]
    digit_texture_classes: tuple[str, ...]
    background_texture_classes: tuple[str, ...]
    splits: dict[str, SplitEntry]
    shards: tuple[ShardEntry, ...]
    files: dict[str, str]

    def shards_of(self, split: str) -> tuple[ShardEntry, ...]:
        """Return a split's shards in order.

        Raises:
            DatasetError: the folder has no such split.
        """
        if split not in self.splits:
            have = ", ".join(self.splits)
            raise DatasetError(f"no split {split!r} in this dataset; it has: {have}")
        return tuple(shard for shard in self.shards if shard.split == split)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a finished folder.

    Raises:
        DatasetError: there is no folder or manifest, or it is broken or too new.
    """
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise DatasetError(
            f"no dataset folder {folder}; make one with "
            f"'texturedmnist generate --bg 0.2 --tex 0.5 --out {folder}'"
        )
    if not path.is_file():
        raise DatasetError(
            f"{folder} has no {MANIFEST_NAME}: it isn't a finished Textured MNIST; "
            "run the same 'texturedmnist generate' again to finish it"
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        check_version(fields.get("format_version"), path)
        return Manifest(**fields)
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError):
        raise DatasetError(f"{path} is not valid JSON; {REMAKE}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DatasetError(f"{path}: {place}: {first['msg']}; {REMAKE}") from None


def check_version(version: object, path: Path) -> None:
    """Refuse files of another format version.

    Raises:
        VersionError: the version isn't the one that this package reads.
        DatasetError: there is none.
    """
    if version is None:
        raise DatasetError(f"{path} has no format version: it isn't a Textured MNIST's")
    if version != FORMAT_VERSION:
        raise VersionError(
            f"{path} has format version {version}; this texturedmnist reads version "
            f"{FORMAT_VERSION}: install a newer texturedmnist to read it"
        )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, whole or not at all: it marks the folder as finished."""
    text = manifest.model_dump_json(indent=2) + "\n"
    write_atomically(folder / MANIFEST_NAME, text.encode())


def write_atomically(
    path: Path, content: bytes | Iterable[bytes], *, durable: bool = True
) -> None:
    """Write to a temporary name in the same folder, fsync, rename.

    Args:
        path: of the file.
        content: of the file, whole or piece by piece.
        durable: False leaves out the fsync, for who brings many files to disk at once.

    Raises:
        WriteError: the disk is full, or the folder can't be written.
    """
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_error(path: Path, error: Exception) -> WriteError:
    """Say why a file can't be written; HDF5 hides the errno in its text."""
    hidden = re.search(r"errno = (\d+)", str(error))
    number = int(hidden[1]) if hidden else getattr(error, "errno", None)
    reason = os.strerror(number) if number else str(error).partition("\n")[0]
    return WriteError(
        f"can't write {path}: {reason}; finished files are kept: make room (or choose "
        "another --out) and run the same command again"
    )


def temporary_name(path: Path) -> Path:
    """Return a hidden name of its own for a file of the folder while it is written."""
    # No process's number: two machines that share a disk can have the same.
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
