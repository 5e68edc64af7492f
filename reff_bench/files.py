"""Files that appear atomically, with the digest of what was written beside them."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DIGEST = "sha256"  # a field of a JSON object, or the suffix of a file's neighbor
TEMPORARY = (".*.tmp", "annotator.pt.tmp")  # the second is of earlier releases


class DigestError(ValueError):
    """A file isn't what was written there."""


def temporary_name(path: Path) -> Path:
    """Return a hidden name of its own for a file while it is written."""
    # No process's number: two machines that share a disk can have the same.
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def clear_temporaries(folder: Path) -> None:
    """Remove what killed writers have left; nobody may be writing there."""
    for pattern in TEMPORARY:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write to a temporary name in the same folder, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        _write(temporary, content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_with_digest(path: Path, content: bytes) -> None:
    """Write a file atomically, and its digest beside it; see `place_with_digest`."""
    temporary = temporary_name(path)
    try:
        _write(temporary, content)
        place_with_digest(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def place_with_digest(temporary: Path, path: Path) -> None:
    """Give a written file its name, and leave its digest in `<name>.sha256`.

    Before the file is replaced, the digests of the old and of the new one stand there,
    so that a process killed at any moment leaves a file that its digest fits.

    Args:
        temporary: the file, written and flushed, in the same folder.
        path: its name.
    """
    beside, new = digest_path(path), file_digest(temporary)
    known = _read_digests(beside)
    if path.is_file() and not known:
        known = [file_digest(path)]
    if known:
        write_atomically(beside, _lines([*known, new], path))
    temporary.replace(path)
    write_atomically(beside, _lines([new], path))


def check_digest(path: Path) -> None:
    """Hold a file against the digest beside it; files of earlier releases have none.

    Raises:
        DigestError: one of the two was changed since it was written.
    """
    beside = digest_path(path)
    if beside.is_file() and file_digest(path) not in _read_digests(beside):
        raise DigestError(
            f"{path} doesn't fit {beside.name} beside it: one of them was damaged or "
            "replaced since it was written"
        )


def digest_path(path: Path) -> Path:
    """Return where a file's digest lies; `sha256sum --check` reads it."""
    return path.with_name(f"{path.name}.{DIGEST}")


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_digest(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a JSON object's fields, and last the digest of all of them.

    Args:
        fields: of the object.
        name: of the file. It is part of the digest: another kind of file in this one's
            place is found, too.
    """
    # Read back first: keys and tuples are then what a reader will find.
    read = json.loads(json.dumps(fields))
    return {**fields, DIGEST: _json_digest(read, name)}


def without_digest(fields: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the fields alone, once they are held against their digest, if any.

    Args:
        fields: of a JSON object, as it was read.
        path: of the file, for the error.

    Raises:
        DigestError: something was changed since the file was written.
    """
    rest = {name: value for name, value in fields.items() if name != DIGEST}
    if DIGEST in fields and fields[DIGEST] != _json_digest(rest, path.name):
        raise DigestError(f"{path} was damaged or changed since it was written")
    return rest


def _json_digest(fields: Mapping[str, Any], name: str) -> str:
    text = json.dumps([name, fields], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, content: str | bytes) -> None:
    with path.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def _read_digests(path: Path) -> list[str]:
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line.partition(" ")[0] for line in text.splitlines()]


def _lines(digests: Iterable[str], path: Path) -> str:
    return "".join(f"{digest}  {path.name}\n" for digest in dict.fromkeys(digests))
