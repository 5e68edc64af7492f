"""One JSON object in a file, held against its digest."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from texturedmnist.common.digest import (
    DIGEST,
    DigestError,
    parse_json,
    with_digest,
    without_digest,
)
from texturedmnist.common.files import write_atomically

Fields: TypeAlias = dict[str, Any]  # a JSON object's, by name
REMEDY = "remove the file and run the grid again"


class ResultsError(ValueError):
    """Files of runs that can't be read: says which one and what to do.

    Examples:
        >>> from reff_bench import ResultsError, read_runs
        >>> try:
        ...     read_runs("absent")
        ... except ResultsError as error:
        ...     print(str(error)[:23])
        absent has no grid.json
    """


def read_json(path: Path) -> Fields:
    """Read a file that holds one JSON object.

    Raises:
        ResultsError: the file is broken.
    """
    try:
        return parse_json(path.read_bytes())
    except ValueError:
        raise ResultsError(f"{path} is not a JSON object; {REMEDY}") from None


def read_checked(path: Path) -> tuple[Fields, bool]:
    """Return a file's fields without their digest, and whether there was one.

    Raises:
        ResultsError: the file is broken, or was changed since it was written.
    """
    fields = read_json(path)
    try:
        return without_digest(fields, path.name, path), DIGEST in fields
    except DigestError as error:
        raise ResultsError(f"{error}; {REMEDY}") from None


def write_checked(path: Path, fields: Fields) -> None:
    """Write atomically, the digest last, with null for what isn't finite."""
    finite: Fields = {name: _finite(value) for name, value in fields.items()}
    text = json.dumps(with_digest(finite, path.name), indent=1, allow_nan=False)
    write_atomically(path, text + "\n")


def _finite(value: object) -> object:
    """Return the value with None for NaN and infinities, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
