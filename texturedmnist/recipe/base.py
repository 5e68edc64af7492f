"""The frozen model that recipes are made of, with errors that a user can act on."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from texturedmnist.common.validation import one_line


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
