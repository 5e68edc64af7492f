"""The error that every source of pixels raises, and the first one: no such home."""

from pathlib import Path

WAYS_OUT = (
    "say where it is (--data-root DIR or $TEXTUREDMNIST_DATA), fetch it (--download), "
    "or work without any files (--embedded)"
)


class SourceError(ValueError):
    """A source that can't be used: says what was looked for, where, and what to do.

    Examples:
        >>> from texturedmnist import Recipe, SourceError, TexturedMNIST
        >>> try:
        ...     TexturedMNIST.from_recipe(Recipe(bg=0, tex=0), data_root="absent")
        ... except SourceError as error:
        ...     print(str(error)[:15])
        MNIST is not in
    """


def expand(path: Path | str) -> Path:
    """Return a path whose `~` is the home folder.

    Raises:
        SourceError: there is none.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SourceError(
            f"there is no home folder for {path}: write the whole path"
        ) from None
