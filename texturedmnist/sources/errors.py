"""The error that every source of pixels raises."""

WAYS_OUT = (
    "say where it is (--data-root DIR or $TEXTUREDMNIST_DATA), fetch it (--download), "
    "or work without any files (--embedded)"
)


class SourceError(ValueError):
    """A source that can't be used: says what was looked for, where, and what to do."""
