"""Files of torch: written atomically with their digest, read without running code."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch

from texturedmnist.common.digest import DigestError
from texturedmnist.common.files import atomic, check_digest

MOST_TIMES = 100  # as large as its archive a content may be; torch doesn't compress


class TorchFileError(ValueError):
    """A file that isn't what `save_torch` has written; its text says why."""


def save_torch(content: object, path: Path) -> None:
    """Write a file atomically, and its digest beside it.

    Raises:
        WriteError: the disk is full, or the folder can't be written.
    """
    with atomic(path, digest=True) as temporary, temporary.open("wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch's own text hides it
                raise error.__context__ from None
            raise


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
    refuse_bomb(path)
    with path.open("rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        # Whatever a reader of archives and pickles meets in a file that is none.
        except Exception as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None):
                raise
            kind = type(error).__name__
            raise TorchFileError(f"{path} can't be read ({kind})") from error


def refuse_bomb(path: Path) -> None:
    """Refuse an archive whose content is far larger than itself.

    Raises:
        TorchFileError: a small file would fill the memory.
    """
    try:
        with ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (BadZipFile, ValueError, NotImplementedError):
        return  # none, or a broken one, which its reader tells
    if size > MOST_TIMES * path.stat().st_size:
        raise TorchFileError(
            f"{path} would unpack to {size:,} bytes, over {MOST_TIMES} times its own"
        )
