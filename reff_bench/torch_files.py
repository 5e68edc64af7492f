"""Files of torch: written atomically with their digest, read without running code."""

import os
from pathlib import Path

import torch

from reff_bench.files import (
    DigestError,
    check_digest,
    place_with_digest,
    temporary_name,
)


class TorchFileError(ValueError):
    """A file that isn't what `save_torch` has written; its text says why."""


def save_torch(content: object, path: Path) -> None:
    """Write to a temporary name, fsync, rename; the digest is left beside it."""
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        place_with_digest(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_torch(path: Path) -> object:
    """Read a file onto the CPU; nothing in it is ever run.

    Raises:
        TorchFileError: it is damaged, or no file of torch.
        OSError: it can't be opened, which says nothing about what is in it.
    """
    try:
        check_digest(path)
    except DigestError as error:
        raise TorchFileError(str(error)) from None
    with path.open("rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        # Whatever a reader of archives and pickles meets in a file that is none.
        except Exception as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None):
                raise
            kind = type(error).__name__
            raise TorchFileError(f"{path} can't be read ({kind})") from error
