"""The error that every source of pixels raises, and the first one: no such home."""

from pathlib import Path

WAYS_OUT = (
    "say where it is (--data-root DIR or $TEXTUREDMNIST_DATA), fetch it (--download), "
    "or work without any files (--embedded)"
)


class SourceError(ValueError):
    """A source that can't be used: says what was looked for, where, and what to do."""


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
