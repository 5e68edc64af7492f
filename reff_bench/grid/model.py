"""What a grid file says, checked."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from reff_bench.catalog.methods import METHOD_OPTIONS
from reff_bench.catalog.metrics import SELECTABLE, check_metric
from reff_bench.grid.config import SUPERVISION, RunConfig
from reff_bench.grid.fields import AXES
from texturedmnist.common.text import shown, unknown

# Of a grid: a folder is named after it, so never a path, never hidden, never too long.
GRID_NAME = r"\w[\w.-]{0,99}"
PIVOTS = (*(axis for axis in AXES if axis != "seed"), "dataset", SUPERVISION)


def _check_known(kind: str, known: Iterable[str], name: str) -> str:
    if name not in known:
        raise ValueError(unknown(kind, name, known))
    return name


def _check_fields(value: dict[str, Any]) -> dict[str, Any]:
    # What a grid tunes may be an option of the user's own method, checked there.
    known = (*RunConfig.model_fields, *METHOD_OPTIONS, SUPERVISION)
    for name in value:
        _check_known("field of a run", known, name)
    return value


def _check_table_name(name: str) -> str:
    # Files are named after it: never a path, never hidden, never too long.
    if not re.fullmatch(r"[\w-]{1,100}", name):
        raise ValueError(
            f"the name {shown(name)} is not allowed: it should be of letters, digits, "
            "- and _, at most 100"
        )
    return name


TableName = Annotated[str, AfterValidator(_check_table_name)]
Pivot = Annotated[str, AfterValidator(partial(_check_known, "axis", PIVOTS))]
TABLES = ("tab1", "tab2", "tab3", "tab4")
Value = Annotated[str, AfterValidator(check_metric)]
Metric = Annotated[str, AfterValidator(partial(_check_known, "metric", SELECTABLE))]
Fields = Annotated[dict[str, Any], AfterValidator(_check_fields)]


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

    options: Annotated[dict[str, tuple[Any, ...]], AfterValidator(_check_fields)] = {}
    by: Metric = "val_accuracy"
    also: Metric | None = None


class TableSpec(_Section):
    """One table: mean and spread of a value over seeds.

    Its names are checked wherever it is read: in a grid, in a plan, in records.

    Attributes:
        name: of its files.
        rows: the field of a run that the rows are.
        columns: likewise.
        value: of a record.
        where: only runs with these values of these fields.
        unless: only runs without these values.
    """

    name: TableName
    rows: Pivot = "annotations"
    columns: Pivot = "method"
    value: Value = "test_accuracy"
    where: Fields = {}
    unless: Fields = {}


# Tab. 2 is about data with a spurious feature, Tab. 3 about data without: bg = 1.
NAMED_TABLES: Mapping[str, TableSpec | None] = {
    "tab1": None,  # the class-texture assignment
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
        data: run fields that say what the data is, by name.
        blocks: each a mapping from axis to its values.
        places: where each block stands in the file, in words.
        training: run fields that all runs share, by name.
        methods: method -> its own options.
        select: how hyper-parameters are chosen.
        tables: to write.
        metrics: of the user's own, to compute beside the built-in ones.
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
    metrics: tuple[str, ...] = ()
