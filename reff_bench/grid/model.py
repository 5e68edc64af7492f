"""What a grid file says, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Select(_Section):
    """How hyper-parameters are chosen, per design, never on the test split.

    A design is everything but the seed and the tuned options.

    Attributes:
        options: the tuned options, each with its values.
        by: the choice is the highest mean of this over the seeds.
        also: a second, named choice beside it.
    """

    options: dict[str, tuple[Any, ...]] = {}
    by: str = "val_accuracy"
    also: str | None = None


class TableSpec(_Section):
    """One table: mean and spread of a value over seeds.

    Attributes:
        name: of its files.
        rows: the field of a cell that the rows are.
        columns: likewise.
        value: of a record.
        where: only cells with these values of these fields.
        unless: only cells without these values.
    """

    name: str
    rows: str = "annotations"
    columns: str = "method"
    value: str = "test_accuracy"
    where: dict[str, Any] = {}
    unless: dict[str, Any] = {}


# Tab. 2 is about data with a spurious feature, Tab. 3 about data without: bg = 1.
NAMED_TABLES: Mapping[str, TableSpec | None] = {
    "tab1": None,  # the ties
    "tab2": TableSpec(name="tab2", unless={"bg": 1.0}),
    "tab3": TableSpec(name="tab3", rows="tex", where={"bg": 1.0, "annotations": "all"}),
    "tab4": None,  # the hyper-parameters used
}


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid, every value checked by itself.

    Attributes:
        path: of its file, for messages.
        name: of the grid.
        data: cell fields that say what the data is, by name.
        blocks: each a mapping from axis to its values.
        places: where each block stands in the file, in words.
        training: cell fields that all runs share, by name.
        methods: method -> its own options.
        select: how hyper-parameters are chosen.
        tables: to write.
    """

    path: Path
    name: str
    data: Mapping[str, Any]
    blocks: tuple[Mapping[str, tuple[Any, ...]], ...]
    places: tuple[str, ...]
    training: Mapping[str, Any]
    methods: Mapping[str, Mapping[str, Any]]
    select: Select
    tables: tuple[TableSpec, ...]
