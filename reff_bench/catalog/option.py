"""What an option is: its type, its mark and its meaning in words."""

from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Option(NamedTuple):
    """What an option is, written beside its type: `Annotated[float, Option(...)]`.

    Attributes:
        group: `data`, `training`, `method` or `annotator`.
        mark: of its default: `paper` said in the supplement; `assumed` our choice where
            the paper's words are lost; `other` read in another public source; `ours`
            of a method or network of our own; `user` of a user's own.
        meaning: in words, as Tab. 4 shows it.
        paper: what the paper (or the public source) uses, where it is known.
    """

    group: str
    mark: str
    meaning: str
    paper: str | int | float | None = None


class Options(BaseModel):
    """The options of a method, each with its default: a subclass lists them.

    Examples:
        >>> from reff_bench import Options
        >>> class SmoothingOptions(Options):
        ...     smoothing: float = 0.1
        >>> SmoothingOptions(smoothing=0.3)
        SmoothingOptions(smoothing=0.3)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def all_epochs(self, epochs: int) -> int:
        """Return the epochs of all stages of a run whose last stage has `epochs`."""
        return epochs


class UnknownOptions(Options):
    """Options of a user's own method that isn't at hand: kept as they were written."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def __hash__(self) -> int:
        """Hash what was written."""
        return hash(self.model_dump_json())


def option_of(field: FieldInfo, name: str) -> Option:
    """Return what an option is; one without an `Option` is described by its name."""
    found = [one for one in field.metadata if isinstance(one, Option)]
    return found[0] if found else Option("method", "user", field.description or name)


def options_with(kinds: Iterable[type[Options]]) -> dict[str, FieldInfo]:
    """Return the fields of several methods' options: the first of each name."""
    fields: dict[str, FieldInfo] = {}
    for kind in kinds:
        for name, field in kind.model_fields.items():
            fields.setdefault(name, field)
    return fields


def plain(options: Options) -> dict[str, Any]:
    """Return options by name, tuples as they are."""
    return {**options.__dict__, **(options.__pydantic_extra__ or {})}
