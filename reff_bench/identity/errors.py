"""The error of data that can't be opened."""


class DataError(ValueError):
    """Data that can't be used: says what was looked for, where, and what to do."""
