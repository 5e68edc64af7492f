"""The frozen model that recipes are made of, with errors that a user can act on."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from texturedmnist.common.text import shown_text

SHOWN = 200  # characters of a wrong value


def one_line(error: ValidationError, known: Iterable[str] = ()) -> str:
    """Say what is wrong with the first bad field.

    `known` are the model's fields, for a name that is unknown or missing.
    """
    # A misspelled name is both unknown and missing: the first says more.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    where = shown_text(".".join(str(part) for part in first["loc"]))
    names = ", ".join(known)
    if first["type"] == "extra_forbidden" and names:
        return f"unknown field {where!r}; known: {names}"
    if first["type"] == "missing" and names:
        return f"{where} is missing; known: {names}"
    message = first["msg"].removeprefix("Value error, ")
    if not where or isinstance(first["input"], dict | list | tuple):
        return f"{where}: {message}".removeprefix(": ")
    return f"{where} = {_shown(first['input'])} is not allowed: {message}"


def _shown(value: object) -> str:
    """Return a value as Python writes it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of so many digits
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


class RecipeError(ValueError):
    """A recipe that can't be made: says what was given and what is allowed.

    Examples:
        >>> from texturedmnist import Recipe, RecipeError
        >>> try:
        ...     Recipe(bg=2, tex=0)
        ... except RecipeError as error:
        ...     print(error)
        bg = 2 is not allowed: Input should be less than or equal to 1
    """


class FrozenModel(BaseModel):
    """A frozen pydantic model whose errors are one line that a user can act on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **fields: Any) -> None:
        """Check the fields; raise `RecipeError` for the first bad one."""
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise RecipeError(one_line(error, type(self).model_fields)) from None
