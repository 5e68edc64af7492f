"""What runs leave behind: the plan of a grid, the records of its cells."""

import io
import json
import math
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from reff_bench import __version__
from reff_bench.grid import (
    GRID_NAME,
    Cell,
    GridError,
    Select,
    TableSpec,
    cell_id,
    check_version,
)
from texturedmnist.common.digest import DIGEST, DigestError, with_digest, without_digest
from texturedmnist.common.files import check_digest, write_atomically

PLAN_NAME = "grid.json"
CELL_NAME = "cell.json"
RECORD_NAME = "record.json"
EVALUATION_NAME = "evaluation.json"
CHECKPOINT_NAME = "checkpoint.pt"
PANELS_NAME = "panels.npz"
ERROR_NAME = "error.txt"
STATUSES = ("done", "failed", "begun", "waiting")
# Besides the fields of the cell; null where a run doesn't know it.
RECORD_FIELDS = (
    *("cell_id", "status", "reason", "package_version", "device", "versions"),
    *("val_accuracy", "val_shifted_accuracy", "test_accuracy", "worst_group_accuracy"),
    *("train_seconds", "images_per_second", "peak_memory_bytes"),
)

Record: TypeAlias = dict[str, Any]
Panels: TypeAlias = dict[str, NDArray[Any]]  # see `reff_bench.evaluate.panels`


class ResultsError(ValueError):
    """A folder of runs that can't be read: says which file and what to do."""


class CellError(RuntimeError):
    """A cell that can't go on, such as a loss that is NaN; its text is the reason."""


@dataclass(frozen=True, slots=True)
class CellProgress:
    """How far a cell is; a cell hands these to its `report`, several a second at most.

    Attributes:
        stage: what is being done: `data`, `annotator`, `training`, `evaluation`.
        fraction: share of the whole cell that is done, in [0, 1].
        epoch: the current one, from 1; 0 outside training.
        losses: mean of each loss term over the epoch so far, by name.
        images_per_second: of the training, where known.
    """

    stage: str
    fraction: float
    epoch: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float | None = None


class Plan(BaseModel):
    """The grid that was run last in a folder, expanded.

    Attributes:
        record_version: of the cells.
        package_version: that planned it.
        name: the grid's, or those of several joined by `+`.
        select: how hyper-parameters are chosen.
        tables: to write.
        cells: resolved, with the identity of their data.
        data_root: where the data lay.
        cache_dir: where decoded data was kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    record_version: int
    package_version: str = __version__
    name: Annotated[str, StringConstraints(pattern=rf"^{GRID_NAME}(\+{GRID_NAME})*$")]
    select: Select
    tables: tuple[TableSpec, ...]
    cells: tuple[Cell, ...]
    data_root: str | None = None
    cache_dir: str | None = None


def cell_folder(out: Path, cell: Cell) -> Path:
    """Return the folder of a cell's run."""
    return out / "cells" / cell_id(cell)


def write_plan(out: Path, plan: Plan) -> None:
    """Write the plan atomically; a file that holds it already stays as it is."""
    text = (
        json.dumps(with_digest(plan.model_dump(mode="json"), PLAN_NAME), indent=1)
        + "\n"
    )
    path = out / PLAN_NAME
    if not path.is_file() or path.read_bytes() != text.encode():
        write_atomically(path, text)


def read_plan(out: Path) -> Plan:
    """Read the plan of a folder of runs.

    Raises:
        ResultsError: there is none, or it is broken or of another version.
    """
    path = out / PLAN_NAME
    if not path.is_file():
        raise ResultsError(
            f"{out} has no {PLAN_NAME}: no grid was run there; "
            f"start one with 'reff-bench run grid.yaml --out {out}'"
        )
    fields = read_json(path)
    plan = make_plan({k: v for k, v in fields.items() if k != DIGEST}, path)
    _checked(fields, path)
    return plan


def make_plan(fields: Mapping[str, Any], path: Path) -> Plan:
    """Check a plan's fields, as a file holds them.

    Args:
        fields: by name.
        path: of the file, for the error.

    Raises:
        ResultsError: they are no plan, or of another version.
    """
    try:
        check_version(fields.get("record_version"), path)
        return Plan.model_validate_json(json.dumps(fields))
    except GridError as error:
        raise ResultsError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{path}: {place}: {first['msg']}; {_REMEDY}") from None


_REMEDY = "remove the file and run the grid again"


def make_record(cell: Cell, status: str, **fields: Any) -> Record:
    """Return a flat record: the cell's fields, `RECORD_FIELDS` and further ones.

    Args:
        cell: what was run.
        status: `done` or `failed`.
        fields: what is known of the run, by name; fractions are in [0, 1].
    """
    record: Record = cell.model_dump(mode="json")
    record.update(dict.fromkeys(RECORD_FIELDS))
    record.update(cell_id=cell_id(cell), status=status, package_version=__version__)
    record.update(fields)
    return record


def write_record(folder: Path, record: Record, name: str = RECORD_NAME) -> None:
    """Write a record atomically, with null for every number that isn't finite.

    Its last field is the digest of the others; `read_record` takes it away.
    """
    finite: Record = {key: _finite(value) for key, value in record.items()}
    text = json.dumps(with_digest(finite, name), indent=1, allow_nan=False)
    write_atomically(folder / name, text + "\n")


def read_record(folder: Path, name: str = RECORD_NAME) -> Record | None:
    """Return a cell's record, or None where there is none.

    Records of earlier releases have no digest and are taken as they are.

    Raises:
        ResultsError: the file is damaged, or of another run.
    """
    return _read_record(folder, name)[0]


def _read_record(folder: Path, name: str) -> tuple[Record | None, bool]:
    """Return a record, and whether it has a digest."""
    path = folder / name
    if not path.is_file():
        return None, False
    fields = read_json(path)
    record = _checked(fields, path)
    found = record.get("cell_id", folder.name)
    if found != folder.name and _ID.fullmatch(folder.name):
        raise ResultsError(f"{path} is of the run {found}; {_REMEDY}")
    return record, DIGEST in fields


_ID = re.compile("[0-9a-f]{16}")  # a run's folder is named by its id


def is_run(folder: Path) -> bool:
    """Whether a folder is one that a run makes; others may lie beside it."""
    return folder.is_dir() and _ID.fullmatch(folder.name) is not None


def _checked(fields: Mapping[str, Any], path: Path) -> dict[str, Any]:
    try:
        return without_digest(fields, path)
    except DigestError as error:
        raise ResultsError(f"{error}; {_REMEDY}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        ResultsError: the file is broken.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ResultsError(f"{path} is not a JSON object; {_REMEDY}")
    return fields


@dataclass(frozen=True, slots=True)
class Run:
    """What lies in a run's folder.

    Attributes:
        status: one of `STATUSES`: done is trained and evaluated.
        record: of a run that has ended.
        evaluation: of one that is done.
    """

    status: str
    record: Record | None = None
    evaluation: Record | None = None


def read_run(folder: Path) -> Run:
    """Read what a run has left.

    A damaged record makes a run failed, with that as its reason: `retry` makes it again
    from the weights. A damaged evaluation makes it begun: it is evaluated again.
    """
    try:
        record, digested = _read_record(folder, RECORD_NAME)
        if record is not None and record.get("status") not in ("done", "failed"):
            raise ResultsError(f"{folder / RECORD_NAME} has no status; {_REMEDY}")
    except ResultsError as error:
        return Run("failed", {"status": "failed", "reason": str(error)})
    if record is None:
        return Run("begun" if (folder / CELL_NAME).is_file() else "waiting")
    if record["status"] == "failed":
        return Run("failed", record)
    evaluation = _read_evaluation(folder, digested=digested)
    return Run("begun" if evaluation is None else "done", record, evaluation)


def _read_evaluation(folder: Path, *, digested: bool) -> Record | None:
    """Return a run's metrics, or None where they have to be made (again).

    Beside a record with a digest, what has none is no evaluation.
    """
    try:
        evaluation, too = _read_record(folder, EVALUATION_NAME)
    except ResultsError:
        return None
    return evaluation if too or not digested else None


def status_of(folder: Path) -> str:
    """Return one of `STATUSES`: done is trained and evaluated."""
    return read_run(folder).status


def count_status(out: Path, cells: Iterable[Cell]) -> dict[str, int]:
    """Return how many runs are in each of `STATUSES`; a shared run counts once."""
    folders = {cell_folder(out, cell) for cell in cells}
    counts = Counter(status_of(folder) for folder in folders)
    return {status: counts[status] for status in STATUSES}


def count_rows(rows: Iterable[Record]) -> dict[str, int]:
    """Return the same of records that were read; see `read_rows`."""
    counts = Counter({row["cell_id"]: row["status"] for row in rows}.values())
    return {status: counts[status] for status in STATUSES}


def read_rows(out: Path, cells: Iterable[Cell]) -> list[Record]:
    """Return one record per cell: its own fields beat those of a shared run.

    Cells without a run have status `begun` or `waiting` and null for every result.
    """
    rows = []
    for cell in cells:
        run = read_run(cell_folder(out, cell))
        ended = run.record if run.status in ("done", "failed") else None
        rows.append(make_row(cell, run.status, ended, run.evaluation))
    return rows


def make_row(
    cell: Cell,
    status: str,
    record: Record | None = None,
    evaluation: Record | None = None,
) -> Record:
    """Return all that is known of a cell; its own fields beat those of a shared run.

    Args:
        cell: of a plan.
        status: of its run.
        record: of its run, if it has ended.
        evaluation: of its run, if it is done.
    """
    row = {**make_record(cell, status), **(record or {}), **(evaluation or {})}
    row.update(cell.model_dump(mode="json"), cell_id=cell_id(cell), status=status)
    return row


def write_panels(folder: Path, panels: Panels) -> None:
    """Write a cell's example images and maps atomically, their digest beside them."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **panels)
    write_atomically(folder / PANELS_NAME, file.getvalue(), digest=True)


def read_panels(folder: Path) -> Panels | None:
    """Return a cell's example images and maps, or None where there are none.

    Raises:
        ResultsError: the file is broken.
    """
    path = folder / PANELS_NAME
    if not path.is_file():
        return None
    try:
        check_digest(path)
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return dict(file)
    # Besides digests: what zipfile and numpy meet in a file that is none of theirs.
    except (*_UNREADABLE, ValueError):
        raise ResultsError(
            f"{path} is broken; 'reff-bench evaluate {folder}' writes it again"
        ) from None


_UNREADABLE = (
    *(EOFError, BadZipFile, zlib.error, KeyError, IndexError, struct.error),
    *(NotImplementedError, RuntimeError, SyntaxError, TypeError, AttributeError),
)


def _finite(value: object) -> object:
    """Return the value with None for NaN and infinities, at any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
