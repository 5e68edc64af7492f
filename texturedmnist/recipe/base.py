"""The frozen model that recipes are made of, with errors that a user can act on."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

SHOWN = 200  # characters of a wrong value


class RecipeError(ValueError):
    """A recipe that can't be made: says what was given and what is allowed."""


class FrozenModel(BaseModel):
    """A frozen pydantic model whose errors are one line that a user can act on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **fields: Any) -> None:
        """Check the fields; raise `RecipeError` for the first bad one."""
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise RecipeError(_explain(error, type(self))) from None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say in one line what is wrong with the first bad field."""
    # A misspelt name is both unknown and missing: the first says more.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown field {place!r}; known: {', '.join(model.model_fields)}"
    if first["type"] == "missing":
        return f"{place} is missing; known: {', '.join(model.model_fields)}"
    message = first["msg"].removeprefix("Value error, ")
    if not place or isinstance(first["input"], dict | list | tuple):
        return f"{place}: {message}".removeprefix(": ")
    return f"{place} = {_shown(first['input'])} is not allowed: {message}"


def _shown(value: object) -> str:
    """Return a value as Python writes it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of so many digits
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
