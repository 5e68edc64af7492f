"""What a finished dataset folder says of itself: `manifest.json`."""

import errno
import json
import os
import re
import stat
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from texturedmnist.common.digest import canonical_digest
from texturedmnist.common.files import error_number, write_atomically
from texturedmnist.recipe import Recipe, RecipeError
from texturedmnist.recipe.base import one_line

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
TABLE_NAME = "samples.csv"
REMAKE = "run the same 'texturedmnist generate' again to write it again"
SHA256 = re.compile(r"[0-9a-f]{64}")
# What a recipe in a manifest must say itself; a later default isn't what was made.
STATED = (
    *("bg", "tex", "test_bg", "test_tex", "train", "val", "test", "image_size"),
    *("digits", "digit_textures", "background_textures", "ties", "digit_size"),
)
# Faults of the disk, of rights and of limits: the file itself may be whole.
OUTSIDE = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOSPC}
OUTSIDE |= {errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EINTR, errno.EDQUOT}


class DatasetError(ValueError):
    """A dataset folder that can't be used: says which file, and what to do.

    Examples:
        >>> from texturedmnist import DatasetError, TexturedMNIST
        >>> try:
        ...     TexturedMNIST("absent")
        ... except DatasetError as error:
        ...     print(str(error)[:17])
        no dataset folder
    """


class VersionError(DatasetError):
    """A file of a format version that this package doesn't read."""


class UnreadableError(DatasetError):
    """A file that may be whole, but can't be read now: rights, limits or the disk."""


def _plain(name: str) -> str:
    """Refuse what isn't the name of something in the folder itself."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"{name[:80]!r} is no plain name")
    return name


def _hex(digest: str) -> str:
    if not SHA256.fullmatch(digest):
        raise ValueError(f"{digest[:80]!r} is no sha256 in hexadecimal")
    return digest


Name = Annotated[str, AfterValidator(_plain)]
Digest = Annotated[str, AfterValidator(_hex)]
# For each picture its names by partition, `digits/NUMBER` or `ROLE/FILE`.
Repeats = tuple[dict[str, tuple[str, ...]], ...]
Count = Annotated[int, Field(ge=0, lt=2**40)]


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

    file: Name
    split: str
    number: Count
    start: Count
    count: Count
    bytes: Count
    digest: Digest
    sha256: Digest


class SplitEntry(_Entry):
    """One split.

    Attributes:
        count: number of samples.
        digest: sha256 (hex) over all its samples' digests, whatever the shard size.
        groups: number of samples by group, 2 * label + background_aligned.
    """

    count: Count
    digest: Digest
    groups: dict[str, Count]

    @property
    def aligned(self) -> float:
        """Fraction of the samples whose background is assigned to their label."""
        return sum(self.groups[str(group)] for group in range(1, 20, 2)) / self.count

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if [*self.groups] != [str(group) for group in range(20)]:
            raise ValueError("its groups aren't 0 to 19")
        if sum(self.groups.values()) != self.count:
            raise ValueError(f"its groups don't add up to {self.count}")
        return self


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
        files: sha256 (hex) of the other files, by name; `samples.csv` at least.
        repeats: pictures of the sources that stand in more than one of train, val and
            test; none in manifests of before they were looked for.
        digest: sha256 (hex) of all the rest, see `seal`; None in manifests of
            before there was one.
    """

    format_version: int
    package_version: str
    recipe_version: int
    identity: str
    recipe: dict[str, Any]
    sources: dict[str, str]
    environment: dict[str, str]
    digit_texture_classes: tuple[Name, ...]
    background_texture_classes: tuple[Name, ...]
    splits: dict[str, SplitEntry]
    shards: tuple[ShardEntry, ...]
    files: dict[Name, Digest]
    repeats: Repeats = ()
    digest: Digest | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Hold the parts against each other."""
        missing = [name for name in STATED if self.recipe.get(name) is None]
        if missing:
            raise ValueError(f"its recipe lacks {', '.join(missing)}")
        known = {k: v for k, v in self.recipe.items() if k in Recipe.model_fields}
        try:
            recipe = Recipe(**known)
        except RecipeError as error:
            raise ValueError(f"its recipe: {error}") from None
        counts = {name: split.count for name, split in self.splits.items()}
        if counts != recipe.counts():
            raise ValueError("its splits aren't those of its recipe")
        if TABLE_NAME not in self.files:
            raise ValueError(f"its files lack {TABLE_NAME}")
        self._check_shards()
        return self

    def _check_shards(self) -> None:
        if sum(len(self.shards_of(split)) for split in self.splits) < len(self.shards):
            raise ValueError("it has shards of other splits")
        for split, whole in self.splits.items():
            shards = self.shards_of(split)
            ends = [*accumulate((shard.count for shard in shards), initial=0)]
            if [*(shard.start for shard in shards), whole.count] != ends:
                text = f"the manifest's shards of {split} don't add up to {whole.count}"
                raise ValueError(text)
            for number, shard in enumerate(shards):
                name = shard_name(split, number, len(shards))
                if (shard.number, shard.file) != (number, name) or not shard.count:
                    raise ValueError(f"shard {number} of {split} isn't {name}")

    def shards_of(self, split: str) -> tuple[ShardEntry, ...]:
        """Return a split's shards in order.

        Raises:
            DatasetError: the folder has no such split.
        """
        if split not in self.splits:
            have = ", ".join(self.splits)
            raise DatasetError(f"no split {split!r} in this dataset; it has: {have}")
        return tuple(shard for shard in self.shards if shard.split == split)

    def randomness(self, split: str) -> tuple[float, float]:
        """Return (background randomness, digit-texture randomness) of a split."""
        kind = "test_" if split in ("test", "val_shifted") else ""
        return self.recipe[f"{kind}bg"], self.recipe[f"{kind}tex"]


def shard_name(split: str, number: int, total: int) -> str:
    """Return a shard's file name, such as train-00000-of-00027.h5."""
    return f"{split}-{number:05d}-of-{total:05d}.h5"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a finished folder, and hold it against its own digest.

    Raises:
        DatasetError: there is no folder or manifest, or it is broken or too new.
        UnreadableError: it can't be read.
    """
    path = folder / MANIFEST_NAME
    text = _read_text(folder, path)
    try:
        fields = json.loads(text)
        check_version(fields.get("format_version"), path)
    # A number of many digits is a ValueError.
    except (AttributeError, RecursionError, json.JSONDecodeError, UnicodeDecodeError):
        raise DatasetError(f"{path} is not valid JSON; {REMAKE}") from None
    except DatasetError:
        raise
    except ValueError as error:
        raise DatasetError(f"{path} is not valid JSON: {error}; {REMAKE}") from None
    return _check_fields(path, fields)


def _read_text(folder: Path, path: Path) -> bytes:
    try:
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
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


def _check_fields(path: Path, fields: dict[str, Any]) -> Manifest:
    try:
        manifest = Manifest(**fields)
    except ValidationError as error:
        raise DatasetError(f"{path}: {one_line(error)}; {REMAKE}") from None
    except (TypeError, RecursionError, OverflowError) as error:
        raise DatasetError(f"{path} is no manifest: {error}; {REMAKE}") from None
    if manifest.digest is not None and manifest.digest != _digest(fields):
        raise DatasetError(
            f"{path} doesn't match its own digest: it was changed or damaged; {REMAKE}"
        )
    return manifest


def _digest(fields: dict[str, Any]) -> str:
    """Return the digest of a manifest's fields, all but the digest."""
    rest = {name: value for name, value in fields.items() if name != "digest"}
    return canonical_digest(rest)


def seal(manifest: Manifest) -> Manifest:
    """Return the manifest with the digest of its fields as they are written."""
    fields = json.loads(manifest.model_dump_json(exclude_defaults=True))
    return manifest.model_copy(update={"digest": _digest(fields)})


def unreadable(path: Path, error: Exception) -> UnreadableError:
    """Say why a file or folder can't be read, when it may well be whole."""
    number = error_number(error)
    reason = os.strerror(number).lower() if number else str(error)
    advice = {
        errno.EMFILE: "; raise the limit of open files (ulimit -n)",
        errno.ENOMEM: "; raise the limit of memory (ulimit -v), or free some",
    }.get(number or 0, "")
    return UnreadableError(f"can't read {path}: {reason}{advice}")


def check_file(path: Path) -> os.stat_result:
    """Refuse what isn't a regular file of the folder that can be opened.

    Raises:
        DatasetError: it is missing, something else, or a link out of the folder.
        UnreadableError: it can't be read.
    """
    try:
        # A pipe without a writer would otherwise be waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        outside = path.is_symlink() and path.resolve().parent != path.parent.resolve()
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetError(f"{path} is missing; {REMAKE}") from None
    except OSError as error:
        if error_number(error) in OUTSIDE:
            raise unreadable(path, error) from None
        reason = os.strerror(error.errno or 0).lower()
        raise DatasetError(f"{path} can't be read: {reason}; {REMAKE}") from None
    if outside:
        raise DatasetError(
            f"{path} is a link to a file outside the folder; put the file itself there"
        )
    if not stat.S_ISREG(found.st_mode):
        raise DatasetError(f"{path} can't be read: it is no regular file; {REMAKE}")
    return found


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
            f"{path} has format version {version!r:.80}; this texturedmnist reads "
            f"version {FORMAT_VERSION}: install a newer texturedmnist to read it"
        )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, atomically: it marks the folder as finished."""
    text = manifest.model_dump_json(indent=2, exclude_defaults=True) + "\n"
    write_atomically(folder / MANIFEST_NAME, text)
