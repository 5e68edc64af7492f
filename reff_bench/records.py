"""Many runs in one file, without weights: written, read, and put back into a folder."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from reff_bench.grid import Cell, cell_id
from reff_bench.results import (
    EVALUATION_NAME,
    Plan,
    Record,
    ResultsError,
    cell_folder,
    make_plan,
    make_row,
    read_plan,
    read_record,
    read_rows,
    status_of,
    write_record,
)
from texturedmnist.common.files import write_atomically

__all__ = ["Collected", "Runs", "collect_runs", "open_runs", "read_records", "restore"]

FORMAT, VERSION = "reff-bench records", 1


class Run(NamedTuple):
    """What a finished run has left: its record and its evaluation."""

    record: Record
    evaluation: Record


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs to show, from a folder or from a file of records.

    Attributes:
        out: where what is made of them is written.
        plan: all cells, finished or not.
        rows: one record per cell, see `read_rows`.
    """

    out: Path
    plan: Plan
    rows: list[Record]


@dataclass(frozen=True, slots=True)
class Collected:
    """A file of records.

    Attributes:
        plan: all cells of the grids that were collected, finished or not.
        runs: the finished ones, by id.
    """

    plan: Plan
    runs: Mapping[str, Run]


def open_runs(path: Path) -> Runs:
    """Read a folder of runs, or a file of records; its folder takes what is written.

    Raises:
        ResultsError: it is neither, or broken.
    """
    if not path.is_file():
        plan = read_plan(path)
        return Runs(path, plan, read_rows(path, plan.cells))
    found = read_records(path)
    rows = []
    for cell in found.plan.cells:
        run = found.runs.get(cell_id(cell))
        rows.append(make_row(cell, "waiting" if run is None else "done", *(run or ())))
    return Runs(path.parent, found.plan, rows)


def collect_runs(outs: Sequence[Path], into: Path) -> Collected:
    """Write the finished runs of some folders or files into one file of records.

    What the file already holds stays; of two runs with one id the first is kept.

    Args:
        outs: folders of runs, or files of records.
        into: the file; written atomically.

    Returns:
        What the file holds now.

    Raises:
        ResultsError: something can't be read, or the grids choose their
            hyper-parameters by other rules.
    """
    files = [into, *outs] if into.is_file() else [*outs]
    parts = [read_records(one) if one.is_file() else _read_folder(one) for one in files]
    runs: dict[str, Run] = {}
    for part in parts:
        runs = {**part.runs, **runs}
    plan = _join_plans([part.plan for part in parts], files)
    order = {cell_id(cell): None for cell in plan.cells}
    collected = Collected(plan, {key: runs[key] for key in order if key in runs})
    write_atomically(into, "".join(_lines(collected)))
    return collected


def restore(path: Path, out: Path, cells: Iterable[Cell]) -> int:
    """Count the runs of a file as done in a folder: write their records there.

    Args:
        path: the file of records.
        out: the folder of runs.
        cells: those that may be taken.

    Returns:
        How many runs weren't done in the folder and are now.
    """
    runs = read_records(path).runs
    taken = 0
    for key, folder in {cell_id(c): cell_folder(out, c) for c in cells}.items():
        if key in runs and status_of(folder) != "done":
            write_record(folder, runs[key].evaluation, EVALUATION_NAME)
            write_record(folder, runs[key].record)
            taken += 1
    return taken


def read_records(path: Path) -> Collected:
    """Read a file of records.

    Raises:
        ResultsError: it can't be read; says which line.
    """
    lines = enumerate(_read_lines(path), start=1)
    number, head = next(lines, (1, {}))
    plan = head.get("plan")
    right = head.get("format") == FORMAT and head.get("version") == VERSION
    if not right or not isinstance(plan, dict):
        raise ResultsError(
            f"{path} is no file of records of version {VERSION}; give a folder of "
            "runs, or what 'reff-bench collect' has written"
        )
    runs = {}
    for number, line in lines:
        record, evaluation = (line.get(name) for name in ("record", "evaluation"))
        if not isinstance(record, dict) or not isinstance(evaluation, dict):
            raise ResultsError(f"{path}, line {number}: no run; collect the runs again")
        runs[str(record.get("cell_id"))] = Run(record, evaluation)
    return Collected(make_plan(plan, path), runs)


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):  # noqa: B007
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise ValueError("no JSON object")
                yield value
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"{path}, line {max(1, number)}: can't be read ({error}); collect the runs "
            "again"
        ) from None


def _read_folder(out: Path) -> Collected:
    plan = read_plan(out)
    folders = {cell_id(cell): cell_folder(out, cell) for cell in plan.cells}
    runs = {
        key: Run(read_record(folder) or {}, read_record(folder, EVALUATION_NAME) or {})
        for key, folder in folders.items()
        if status_of(folder) == "done"
    }
    return Collected(plan, runs)


def _join_plans(plans: Sequence[Plan], files: Sequence[Path]) -> Plan:
    """Return one plan with the cells and tables of all, without a machine's paths."""
    first, *others = plans
    for plan, path in zip(others, files[1:], strict=True):
        if plan.select != first.select:
            raise ResultsError(
                f"{path} chooses its hyper-parameters otherwise than {files[0]}: "
                "collect the two into files of their own"
            )
    tables = {table.name: table for plan in reversed(plans) for table in plan.tables}
    cells = dict.fromkeys(
        cell.model_copy(update=_without_paths(cell.weights))
        for plan in plans
        for cell in plan.cells
    )
    name = "+".join(dict.fromkeys(plan.name for plan in plans))
    update = {"name": name, "tables": tuple(tables.values()), "cells": tuple(cells)}
    return first.model_copy(update={**update, "data_root": None, "cache_dir": None})


def _without_paths(weights: str | None) -> dict[str, str | None]:
    """Return what stands in a file for a machine's paths: ids don't depend on them."""
    return {"root": None, "weights": weights and Path(weights).name}


def _lines(collected: Collected) -> Iterator[str]:
    fields = collected.plan.model_dump(mode="json", exclude_none=True)
    yield _line({"format": FORMAT, "version": VERSION, "plan": fields})
    for run in collected.runs.values():
        paths = _without_paths(run.record.get("weights"))
        record = {**run.record, **paths}
        yield _line({"record": record, "evaluation": run.evaluation})


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"
