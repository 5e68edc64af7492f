"""The error of a grid that can't be run."""


class GridError(ValueError):
    """A grid that can't be run: says the place, the value and what is allowed."""
