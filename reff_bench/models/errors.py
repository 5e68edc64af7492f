"""The error of a model that can't be built."""


class ModelError(ValueError):
    """A model that can't be built as asked: says why and what is allowed."""
