"""JSON objects as they are read, their digests, and objects that carry their own."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json

DIGEST = "sha256"  # the field of an object, or the suffix of a file's neighbor


class DigestError(ValueError):
    """A file isn't what was written there."""


def json_digest(value: object) -> str:
    """Return the sha256 (hex) of a JSON value; the order of an object's keys counts."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def canonical_digest(value: object) -> str:
    """Return the sha256 (hex) of a JSON value, whatever the order of its keys.

    Raises:
        ValueError: a number isn't finite.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_json(text: str | bytes) -> dict[str, Any]:
    """Read a JSON object; numbers too large for a float become infinite.

    Raises:
        ValueError: it is something else.
    """
    value = from_json(text, allow_inf_nan=False)  # half the time of json's
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def with_digest(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a JSON object's fields, and last the digest of all of them.

    The file's name is part of the digest: another kind of file in its place is found.
    """
    # Read back first: keys and tuples are then what a reader will find.
    read = json.loads(json.dumps(fields))
    return {**fields, DIGEST: canonical_digest([name, read])}


def without_digest(
    fields: Mapping[str, Any], name: str, where: object
) -> dict[str, Any]:
    """Return the fields alone, once they are checked against their digest, if any.

    `name` is as it was given to `with_digest`; `where` they were read is for the error.

    Raises:
        DigestError: something was changed since the object was written, or a number
            isn't finite.
    """
    rest = {key: value for key, value in fields.items() if key != DIGEST}
    try:
        digest = canonical_digest([name, rest])
    except ValueError:
        raise DigestError(f"{where} holds a number that isn't finite") from None
    if fields.get(DIGEST, digest) != digest:
        raise DigestError(f"{where} was damaged or changed since it was written")
    return rest
