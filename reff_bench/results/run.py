"""What one run says under way and leaves in its folder: a record, an evaluation."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reff_bench import __version__
from reff_bench.catalog.methods import SUPERVISIONS, is_own
from reff_bench.catalog.metrics import METRICS
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.results.json_file import (
    REMEDY,
    Fields,
    ResultsError,
    read_checked,
    write_checked,
)

CONFIG_NAME = "cell.json"
RECORD_NAME = "record.json"
EVALUATION_NAME = "evaluation.json"
CHECKPOINT_NAME = "checkpoint.pt"
ERROR_NAME = "error.txt"
STATUSES = ("done", "failed", "incomplete", "pending")
# Besides the fields of the run; null where a run doesn't know it.
RECORD_FIELDS = (
    *("cell_id", "status", "reason", "package_version", "device", "versions"),
    "supervision",
    *("val_accuracy", "val_shifted_accuracy", "test_accuracy", "worst_group_accuracy"),
    *("train_seconds", "images_per_second", "peak_memory_bytes"),
)
HISTORY = "history_"  # before the name of what has a value for each epoch
NUMBERS = {*METRICS, "test_samples"}  # besides metrics of the user's own
ACCURACIES = {name for name in METRICS if name.endswith("accuracy")}
_ID = re.compile("[0-9a-f]{16}")  # a run's folder is named by its id


def run_folder(out: Path, config: RunConfig) -> Path:
    """Return the folder of a run's run."""
    return out / "cells" / config_id(config)


def is_run(folder: Path) -> bool:
    """Whether a folder is one that a run makes; others may lie beside it."""
    return folder.is_dir() and _ID.fullmatch(folder.name) is not None


def make_record(config: RunConfig, status: str, **fields: Any) -> Fields:
    """Return a flat record: the run's fields, `RECORD_FIELDS` and further ones.

    The status is `done` or `failed`; fractions are in [0, 1].
    """
    record: Fields = config.model_dump(mode="json")
    record.update(dict.fromkeys(RECORD_FIELDS))
    record |= {"cell_id": config_id(config), "status": status}
    record["package_version"] = __version__
    record["supervision"] = config.supervision
    record.update(fields)
    return record


def write_record(folder: Path, record: Fields, name: str = RECORD_NAME) -> None:
    """Write a record atomically, with null for every number that isn't finite.

    Its last field is the digest of the others; `read_record` takes it away.
    """
    write_checked(folder / name, record)


def read_record(folder: Path, name: str = RECORD_NAME) -> Fields | None:
    """Return a run's record, or None where there is none.

    Records of earlier releases have no digest and are taken as they are.

    Raises:
        ResultsError: the file is damaged, or of another run.
    """
    return _read_record(folder, name)[0]


def _read_record(folder: Path, name: str) -> tuple[Fields | None, bool]:
    """Return a record, and whether it has a digest."""
    path = folder / name
    if not path.is_file():
        return None, False
    record, digested = read_checked(path)
    found = record.get("cell_id", folder.name)
    if found != folder.name and _ID.fullmatch(folder.name):
        raise ResultsError(f"{path} is of the run {found}; {REMEDY}")
    wrong = find_wrong(record)
    if wrong:
        raise ResultsError(f"{path}: {wrong}; {REMEDY}")
    return record, digested


def find_wrong(fields: Fields) -> str:
    """Say which field holds what no table or figure can show; empty if none does."""
    for name, value in fields.items():
        if name.startswith(HISTORY):
            fits = isinstance(value, list) and _are_numbers(value)
            what = "list of numbers"
        elif name in NUMBERS or ":" in name:
            fits, what = value is None or _are_numbers([value]), "number"
            if fits and value is not None:
                if name in ACCURACIES:
                    fits, what = 0 <= value <= 1, "share from 0 to 1"
                elif name == "test_samples":
                    fits, what = value >= 1, "count of 1 or more"
        elif name == "versions":
            fits, what = value is None or isinstance(value, dict), "object"
        else:
            continue
        if not fits:
            return f"{name} is no {what}"
    return ""


def _are_numbers(values: list[Any]) -> bool:
    """Whether all of these are finite numbers."""
    try:
        return {*map(type, values)} <= {int, float} and all(map(math.isfinite, values))
    except OverflowError:  # a whole number beyond the floats
        return False


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What a run has left, as it is written.

    Attributes:
        status: one of `STATUSES`: done is trained and evaluated.
        record: of a run that has been trained or has failed.
        evaluation: of one that is done.
    """

    status: str
    record: Fields | None = None
    evaluation: Fields | None = None


def recorded_supervision(run: RunFiles) -> str | None:
    """Return what a record says that a user's own method is given; None: nothing.

    The method needn't be at hand where its records are read.
    """
    record = run.record or {}
    method, supervision = record.get("method"), record.get("supervision")
    own = isinstance(method, str) and is_own(method)
    return supervision if own and supervision in SUPERVISIONS else None


def read_run(folder: Path) -> RunFiles:
    """Read what a run has left.

    A damaged record makes a run failed, with that as its reason: `retry` makes it again
    from the weights. A damaged evaluation makes it incomplete: it is evaluated again.
    """
    try:
        record, digested = _read_record(folder, RECORD_NAME)
        if record is not None and record.get("status") not in ("done", "failed"):
            raise ResultsError(f"{folder / RECORD_NAME} has no status; {REMEDY}")
    except ResultsError as error:
        return RunFiles("failed", {"status": "failed", "reason": str(error)})
    if record is None:
        known = (folder / CONFIG_NAME).is_file()
        return RunFiles("incomplete" if known else "pending")
    if record["status"] == "failed":
        return RunFiles("failed", record)
    evaluation = _read_evaluation(folder, digested=digested)
    status = "incomplete" if evaluation is None else "done"
    return RunFiles(status, record, evaluation)


def _read_evaluation(folder: Path, *, digested: bool) -> Fields | None:
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


class RunError(RuntimeError):
    """A run that can't go on, such as a loss that is NaN; its text is the reason."""


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is; a run hands these to its `report`, several a second at most.

    Attributes:
        stage: what is being done: `data`, `annotator`, `training`, `evaluation`.
        fraction: share of the whole run that is done, in [0, 1].
        epoch: the current one, from 1; 0 outside training.
        losses: mean of each loss term over the epoch so far, by name.
        images_per_second: of the training, where known.
    """

    stage: str
    fraction: float
    epoch: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float | None = None
