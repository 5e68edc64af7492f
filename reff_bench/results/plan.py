"""The grid that was run last in a folder, expanded: `Plan`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from reff_bench import __version__
from reff_bench.grid.config import RECORD_VERSION, RunConfig
from reff_bench.grid.model import GRID_NAME, Select, TableSpec
from reff_bench.results.json_file import REMEDY, ResultsError, read_checked
from texturedmnist.common.digest import with_digest
from texturedmnist.common.files import write_atomically
from texturedmnist.common.text import shown, shown_text

PLAN_NAME = "grid.json"


class Plan(BaseModel):
    """The grid that was run last in a folder, expanded.

    Attributes:
        record_version: of the runs.
        package_version: that planned it.
        name: the grid's, or those of several joined by `+`.
        select: how hyper-parameters are chosen.
        tables: to write.
        metrics: of the user's own, computed beside the built-in ones.
        configs: resolved, with the identity of their data.
        data_root: where the data lay.
        cache_dir: where decoded data was kept.
    """

    # A worker and --help need none: its schema holds that of a run once more.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    record_version: int = RECORD_VERSION
    package_version: str = __version__
    name: Annotated[str, StringConstraints(pattern=rf"^{GRID_NAME}(\+{GRID_NAME})*$")]
    select: Select
    tables: tuple[TableSpec, ...]
    metrics: tuple[str, ...] = ()
    configs: tuple[RunConfig, ...]
    data_root: str | None = None
    cache_dir: str | None = None


def write_plan(out: Path, plan: Plan) -> None:
    """Write the plan atomically; a file that holds it already stays as it is."""
    fields = with_digest(plan.model_dump(mode="json"), PLAN_NAME)
    text = json.dumps(fields, indent=1) + "\n"
    path = out / PLAN_NAME
    if not path.is_file() or path.read_bytes() != text.encode():
        write_atomically(path, text)


def read_plan(out: Path) -> Plan:
    """Read the plan of a folder of runs.

    Raises:
        ResultsError: there is none, or it is broken or of another version.
    """
    path = out / PLAN_NAME
    if out.suffix == ".jsonl" and not out.exists():
        raise ResultsError(
            f"no file {out}; 'reff-bench collect FOLDER --into {out}' makes one of the "
            "records of a folder of runs"
        )
    if not path.is_file():
        raise ResultsError(
            f"{out} has no {PLAN_NAME}: no grid was run there; "
            f"start one with 'reff-bench run grid.yaml --out {out}'"
        )
    return make_plan(read_checked(path)[0], path)


def make_plan(fields: Mapping[str, Any], path: Path) -> Plan:
    """Check a plan's fields, as a file holds them.

    Raises:
        ResultsError: they are no plan, or of another version.
    """
    version = fields.get("record_version")
    if version != RECORD_VERSION:
        raise ResultsError(
            f"{path} has record version {shown(version)}; this reff-bench reads "
            f"version {RECORD_VERSION}: use the release that wrote it, or another --out"
        )
    try:
        # Files of before call the runs cells.
        named = {"configs" if key == "cells" else key: v for key, v in fields.items()}
        return Plan.model_validate_json(json.dumps(named))
    except ValidationError as error:
        first = error.errors()[0]
        where = shown_text(".".join(str(part) for part in first["loc"]))
        message = shown_text(first["msg"])
        raise ResultsError(f"{path}: {where}: {message}; {REMEDY}") from None
