"""Many runs in one file, without weights: written, read, and put back into a folder."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reff_bench.catalog.methods import WITH_MASKS
from reff_bench.grid.config import RunConfig, config_id
from reff_bench.results.json_file import Fields, ResultsError
from reff_bench.results.plan import Plan, make_plan, read_plan
from reff_bench.results.run import (
    EVALUATION_NAME,
    RunFiles,
    find_wrong,
    read_run,
    recorded_supervision,
    run_folder,
    status_of,
    write_record,
)
from texturedmnist.common.digest import (
    DigestError,
    parse_json,
    with_digest,
    without_digest,
)
from texturedmnist.common.files import one_writer, write_atomically
from texturedmnist.common.text import shown

FORMAT, VERSION = "reff-bench records", 1
LINE = "records"  # what a line's digest is made with: the file may be renamed


@dataclass(frozen=True)
class Collected:
    """A file of records.

    Attributes:
        plan: all runs of the grids that were collected, finished or not.
        runs: the finished ones, by id.
    """

    plan: Plan
    runs: Mapping[str, RunFiles]

    def id_of(self, config: RunConfig) -> str:
        """Return the id of a run of the plan.

        Whether somebody's own method uses masks enters it: its records say so.
        """
        given = self._given.get((config.method, config.code_identity))
        return config_id(
            config, uses_masks=None if given is None else given in WITH_MASKS
        )

    @cached_property
    def _given(self) -> dict[tuple[Any, Any], str]:
        """Supervision of own methods, by name and digest of their code."""
        return {
            (fields["method"], fields.get("code_identity")): given
            for run in self.runs.values()
            if (given := recorded_supervision(run)) and (fields := run.record)
        }


def collect_runs(outs: Sequence[Path], into: Path) -> Collected:
    """Write the finished runs of folders or files into one file of records, atomically.

    What the file already holds stays; of two runs with one id the first is kept. Of
    several processes with one file each waits for the one before. What the file holds
    now is returned.

    Raises:
        ResultsError: something can't be read, or the grids choose their
            hyper-parameters by other rules.
    """
    with one_writer(into):
        files = [into, *outs] if into.is_file() else [*outs]
        collected = _join(files)
        write_atomically(into, "".join(_lines(collected)))
    return collected


def _join(files: Sequence[Path]) -> Collected:
    parts = [read_records(one) if one.is_file() else _read_folder(one) for one in files]
    runs: dict[str, RunFiles] = {}
    for part in parts:
        runs = {**part.runs, **runs}
    plan = _join_plans([part.plan for part in parts], files)
    order = {part.id_of(one): None for part in parts for one in part.plan.configs}
    return Collected(plan, {key: runs[key] for key in order if key in runs})


def restore(found: Collected, out: Path, configs: Iterable[RunConfig]) -> int:
    """Count the runs of a file as done in a folder: write their records there.

    Those of `configs` may be taken. Returns how many weren't done there and are now.
    """
    taken = 0
    for key, folder in {config_id(c): run_folder(out, c) for c in configs}.items():
        run = found.runs.get(key)
        if run is not None and status_of(folder) != "done":
            write_record(folder, run.evaluation or {}, EVALUATION_NAME)
            write_record(folder, run.record or {})
            taken += 1
    return taken


def read_records(path: Path) -> Collected:
    """Read a file of records.

    Lines of earlier releases have no digest and are taken as they are.

    Raises:
        ResultsError: it can't be read, or was changed since it was written; says which
            line.
    """
    lines = _read_lines(path)
    head = next(lines, {})
    plan = head.get("plan")
    right = head.get("format") == FORMAT and head.get("version") == VERSION
    if not right or not isinstance(plan, dict):
        raise ResultsError(
            f"{path} is no file of records of version {VERSION}; give a folder of "
            "runs, or what 'reff-bench collect' has written"
        )
    collected = make_plan(plan, path)
    runs: dict[str, RunFiles] = {}
    for number, line in enumerate(lines, start=2):
        record, evaluation = (line.get(name) for name in ("record", "evaluation"))
        if not isinstance(record, dict) or not isinstance(evaluation, dict):
            raise ResultsError(f"{path}, line {number}: no run; collect the runs again")
        wrong = find_wrong(record) or find_wrong(evaluation)
        if wrong:
            raise ResultsError(
                f"{path}, line {number}: {wrong}; collect the runs again"
            )
        runs[str(record.get("cell_id"))] = RunFiles("done", record, evaluation)
    if len(runs) != head.get("runs", len(runs)):
        raise ResultsError(
            f"{path} holds {len(runs)} of its {shown(head['runs'])} runs; collect the "
            "runs again"
        )
    return Collected(collected, runs)


def _read_lines(path: Path) -> Iterator[Fields]:
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                fields = parse_json(line)
                yield without_digest(fields, LINE, f"{path}, line {number}")
    except DigestError as error:
        raise ResultsError(f"{error}; collect the runs again") from None
    except ValueError as error:
        raise ResultsError(
            f"{path}, line {max(1, number)}: can't be read ({error}); collect the runs "
            "again"
        ) from None


def _read_folder(out: Path) -> Collected:
    plan = read_plan(out)
    folders = {config_id(config): run_folder(out, config) for config in plan.configs}
    runs = {key: read_run(folder) for key, folder in folders.items()}
    return Collected(
        plan, {key: run for key, run in runs.items() if run.status == "done"}
    )


def _join_plans(plans: Sequence[Plan], files: Sequence[Path]) -> Plan:
    """Return one plan with the runs and tables of all, without a machine's paths."""
    first, *others = plans
    for plan, path in zip(others, files[1:], strict=True):
        if plan.select != first.select:
            raise ResultsError(
                f"{path} chooses its hyper-parameters otherwise than {files[0]}: "
                "collect the two into files of their own"
            )
    tables = {table.name: table for plan in reversed(plans) for table in plan.tables}
    configs = dict.fromkeys(
        config.model_copy(update=_without_paths(config.weights))
        for plan in plans
        for config in plan.configs
    )
    name = "+".join(dict.fromkeys(plan.name for plan in plans))
    update = {"name": name, "tables": tuple(tables.values()), "configs": tuple(configs)}
    return first.model_copy(update={**update, "data_root": None, "cache_dir": None})


def _without_paths(weights: str | None) -> dict[str, str | None]:
    """Return what stands in a file for a machine's paths: ids don't depend on them."""
    return {"root": None, "weights": weights and Path(weights).name}


def _lines(collected: Collected) -> Iterator[str]:
    fields = collected.plan.model_dump(mode="json", exclude_none=True)
    count = len(collected.runs)
    yield _line({"format": FORMAT, "version": VERSION, "runs": count, "plan": fields})
    for run in collected.runs.values():
        fields = run.record or {}
        record = {**fields, **_without_paths(fields.get("weights"))}
        yield _line({"record": record, "evaluation": run.evaluation})


def _line(fields: Fields) -> str:
    sealed = with_digest(fields, LINE)
    return json.dumps(sealed, separators=(",", ":"), allow_nan=False) + "\n"
