"""What the adapters say when something is missing: a package, or groups."""

import warnings
from collections.abc import Collection

from texturedmnist.common.causes import name_shadow

SHOWN = 5  # groups that a warning names


class MissingPackageError(ImportError):
    """A package that an adapter stands on isn't installed: says how to get it."""


class EmptyGroupsWarning(UserWarning):
    """Some groups have no samples: says which, and what that means."""


def missing_package(package: str, error: ImportError) -> MissingPackageError:
    """Return what to raise when an adapter's package can't be imported."""
    return MissingPackageError(
        f"this adapter needs {package}, but the module {error.name!r} can't be used or "
        f"isn't installed: pip install {package}{name_shadow(package)}"
    )


def warn_of_empty_groups(
    split: str, attribute: str, found: Collection[tuple[int, int]], values: int
) -> None:
    """Warn if a split lacks some (label, attribute) groups besides those `found`.

    There are ten labels, and so many `values` of the attribute.
    """
    groups = [(label, value) for label in range(10) for value in range(values)]
    empty = [group for group in groups if group not in found]
    if not empty:
        return
    named = ", ".join(map(str, empty[:SHOWN])) + (", ..." if empty[SHOWN:] else "")
    warnings.warn(
        f"{split} has no samples in {len(empty)} of its {len(groups)} groups "
        f"(label, {attribute}): {named}. A randomness of 0 leaves none whose texture "
        "conflicts with the label, and a small split can lack some by chance. A method "
        "that balances or weighs groups sees only those that are there: raise bg (or "
        "tex), make more samples, or choose another attribute",
        EmptyGroupsWarning,
        stacklevel=4,
    )
