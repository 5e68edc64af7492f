"""Files that appear atomically, some with their digest in a file beside them."""

import errno
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from texturedmnist.common.digest import DIGEST, DigestError, file_digest

TEMPORARY = ".*.tmp"


class WriteError(OSError):
    """A file couldn't be written; what was finished before is kept."""

    def __str__(self) -> str:
        """Return what happened and what to do."""
        if self.filename is None:
            return super().__str__()
        full = self.errno in (0, errno.ENOSPC, errno.EDQUOT)
        advice = "make room" if full else "repair that"
        return (
            f"can't write {self.filename}: {self.strerror}; finished files are kept: "
            f"{advice} (or choose another --out) and run the same command again"
        )


class FolderError(ValueError):
    """A folder that can't be worked in: says which, and what to do."""


def unwritable(folder: Path, error: OSError) -> FolderError:
    """Return the error that says why nothing can be written to a folder."""
    return FolderError(
        f"can't write to {folder}: {error.strerror}; choose another folder with --out"
    )


def write_error(path: Path, error: Exception) -> WriteError:
    """Return the error that says why a file can't be written."""
    number = error_number(error)
    reason = os.strerror(number) if number else str(error).partition("\n")[0]
    return WriteError(number or 0, reason, str(path))


def error_number(error: Exception) -> int | None:
    """Return an error's errno, which HDF5 hides in its text; None if it has none."""
    hidden = re.search(r"errno = (\d+)", str(error))
    number = int(hidden[1]) if hidden else getattr(error, "errno", None)
    return number or None


def temporary_name(path: Path) -> Path:
    """Return a hidden name of its own for a file while it is written."""
    # No process's number: two machines that share a disk can have the same.
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def clear_temporaries(folder: Path, patterns: Iterable[str] = (TEMPORARY,)) -> None:
    """Remove what killed writers have left; nobody may be writing there."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


@contextmanager
def one_writer(
    path: Path, waits: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Let one process write a file, others wait; clear what killed ones have left.

    The file's folder is made if it is absent. `waits` is called if another process is
    writing the file now.

    Raises:
        WriteError: the folder can't be written.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        waits()
        lock.acquire()
    except OSError as error:
        raise write_error(path, error) from None
    try:
        clear_temporaries(path.parent, [f".{path.name}.*.tmp"])
        yield
    finally:
        lock.release()


@contextmanager
def atomic(
    path: Path, *, durable: bool = True, digest: bool = False, parents: bool = True
) -> Iterator[Path]:
    """Give a name to write to; when the block ends, fsync the file and rename it.

    Args:
        path: of the file.
        durable: False leaves out the fsync, for who brings many files to disk at once.
        digest: leave the file's digest in `<name>.sha256`, see `check_digest`.
        parents: make its folder if it is absent; False where that means that a disk
            or somebody's folder has gone.

    Yields:
        A hidden name in the same folder; whatever fails, nothing of it is left.

    Raises:
        WriteError: the disk is full, or the folder can't be written.
    """
    temporary = temporary_name(path)
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            _sync(temporary)
        if digest:
            _replace_with_digest(temporary, path)
        else:
            temporary.replace(path)
    except WriteError:
        raise
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        with suppress(OSError):  # there may be no such folder
            temporary.unlink()


def write_atomically(
    path: Path,
    content: str | bytes | Iterable[bytes],
    *,
    durable: bool = True,
    digest: bool = False,
) -> None:
    """Write a file by `atomic`, from text, bytes or pieces of bytes.

    Raises:
        WriteError: the disk is full, or the folder can't be written.
    """
    if isinstance(content, str):
        content = content.encode()
    pieces = [content] if isinstance(content, bytes) else content
    with (
        atomic(path, durable=durable, digest=digest) as temporary,
        temporary.open("wb") as file,
    ):
        file.writelines(pieces)


def check_digest(path: Path, *, required: bool = False) -> None:
    """Check a file against the digest beside it.

    A file without one, as earlier releases wrote it, is refused if it is `required`.

    Raises:
        DigestError: one of the two was changed since it was written.
    """
    beside = digest_path(path)
    wanted = required or beside.is_file()
    if wanted and file_digest(path) not in _read_digests(beside):
        raise DigestError(
            f"{path} doesn't fit {beside.name} beside it: one of them was damaged or "
            "replaced since it was written"
        )


def digest_path(path: Path) -> Path:
    """Return where a file's digest lies; `sha256sum --check` reads it."""
    return path.with_name(f"{path.name}.{DIGEST}")


def _replace_with_digest(temporary: Path, path: Path) -> None:
    """Rename a file so that a process killed at any moment leaves a digest that fits.

    Before the file is replaced, the digests of the old and of the new one stand there.
    """
    beside, new = digest_path(path), file_digest(temporary)
    known = _read_digests(beside)
    if path.is_file() and not known:
        known = [file_digest(path)]
    if known:
        write_atomically(beside, _lines([*known, new], path))
    temporary.replace(path)
    write_atomically(beside, _lines([new], path))


def _sync(path: Path) -> None:
    with path.open("rb+") as file:  # some systems sync only what is open for writing
        os.fsync(file.fileno())


def _read_digests(path: Path) -> list[str]:
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line.partition(" ")[0] for line in text.splitlines()]


def _lines(digests: Iterable[str], path: Path) -> str:
    return "".join(f"{digest}  {path.name}\n" for digest in dict.fromkeys(digests))
