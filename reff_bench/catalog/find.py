"""What a name stands for: built in, an entry point or `package.module:name`."""

import importlib
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from texturedmnist.common.text import shown, unknown

IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class CatalogError(ValueError):
    """A name that stands for nothing usable: says which and what is known."""


@cache
def installed(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points that installed packages offer, by name."""
    return {point.name: point for point in entry_points(group=group)}


def check_name(kind: str, name: object, known: Iterable[str], group: str) -> str:
    """Return a name that may stand for something; nothing is imported.

    Raises:
        CatalogError: there is no such name; says which are known and which is close.
    """
    if isinstance(name, str) and name in {*known, *installed(group)}:
        return name
    if not isinstance(name, str) or ":" not in name:
        names = [*known, *installed(group), "your own as package.module:name"]
        raise CatalogError(unknown(kind, name, names))
    if not IMPORT_PATH.fullmatch(name):
        raise CatalogError(
            f"{shown(name)} is not an import path; write package.module:name"
        )
    return name


def load(name: str, group: str) -> Any:  # noqa: ANN401 (whatever is there)
    """Return the object behind an entry point or an import path.

    Raises:
        CatalogError: it can't be imported; names the module, the error and its line.
    """
    point = installed(group).get(name)
    return import_object(name if point is None else point.value)


def own_module(name: str, known: Iterable[str], group: str) -> str | None:
    """Return the module that a name stands for; None of what is built in."""
    if name in known:
        return None
    point = installed(group).get(name)
    module, colon, _ = (name if point is None else point.value).partition(":")
    return module if colon else None


def import_object(path: str) -> Any:  # noqa: ANN401 (whatever is there)
    """Return `package.module:name`.

    Raises:
        CatalogError: it can't be imported; names the module, the error and its line.
    """
    module, _, attribute = path.partition(":")
    if module.partition(".")[0] in sys.stdlib_module_names:
        # A file of others may name os:abort.
        raise CatalogError(
            f"{path}: {module} is a module of Python's own; give yours another name"
        )
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (
            module == error.name or module.startswith(f"{error.name}.")
        ):
            raise CatalogError(
                f"{path}: there is no module {module}; run the command where it lies, "
                "or install it"
            ) from None
        raise CatalogError(_explain(path, error)) from None
    except (Exception, SystemExit) as error:  # whatever code of others raises
        raise CatalogError(_explain(path, error)) from None
    try:
        return getattr(found, attribute)
    except AttributeError:
        raise CatalogError(f"{path}: {module} has no {attribute}") from None


def _explain(path: str, error: BaseException) -> str:
    """Say what failed, and in which line of which file."""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}, line {error.lineno}"
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename}, line {last.lineno}"
    text = str(error).partition("\n")[0]
    return f"{path} can't be imported: {type(error).__name__}: {text} ({place})"
