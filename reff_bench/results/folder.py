"""The runs of a grid, read once: `RunFolder`, a typed `RunRecord` for each run."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import intern
from typing import Any, Self

from reff_bench.catalog.methods import WITH_MASKS
from reff_bench.catalog.option import plain
from reff_bench.grid.config import (
    OWN_OPTIONS,
    SUPERVISION,
    RunConfig,
    config_id,
    run_fields,
)
from reff_bench.results.collected import read_records
from reff_bench.results.plan import Plan, read_plan
from reff_bench.results.run import (
    HISTORY,
    STATUSES,
    RunFiles,
    read_run,
    recorded_supervision,
)

ENVIRONMENT = (
    *("package_version", "versions", "device", "device_type", "arithmetic"),
    "compiled",
)
_ELSEWHERE = {
    *(*run_fields([]), OWN_OPTIONS, SUPERVISION, "cell_id", "status", "reason")
}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All that is known of a run, under one run of a grid.

    Attributes:
        id: 16 hexadecimal digits, the name of its folder.
        settings: what was run, in this grid's words; runs that share a run differ in
            what has no influence on it.
        status: one of `STATUSES`.
        reason: why it failed; None unless it has.
        outside: it failed for a reason outside the run, and may well go right now.
        metrics: what was measured in training and evaluation, by name, as it is in the
            files; fractions are in [0, 1]. What isn't known isn't there.
        history: name -> one value for each epoch.
        environment: `ENVIRONMENT` as far as it is known: where it ran.
        supervision: what its method is given beside images and labels. Of a method of
            somebody's own, which needn't be at hand, what the record says.
    """

    id: str
    settings: RunConfig
    status: str
    reason: str | None = None
    outside: bool = False
    metrics: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    supervision: str = ""

    @classmethod
    def of(cls, key: str, config: RunConfig, run: RunFiles) -> Self:
        """Sort what a run has left; of one that hasn't ended nothing counts."""
        ended = run.status in ("done", "failed")
        fields = {**(run.record or {}), **(run.evaluation or {})} if ended else {}
        metrics: dict[str, Any] = {}
        history: dict[str, Sequence[float]] = {}
        known = _interned({n: v for n, v in fields.items() if v is not None})
        environment = {name: known.pop(name) for name in ENVIRONMENT if name in known}
        reason, outside = known.get("reason"), bool(known.pop("outside", False))
        options = plain(config.options)
        for name, value in known.items():
            if name.startswith(HISTORY):
                history[intern(name.removeprefix(HISTORY))] = array("d", value)
            elif name not in _ELSEWHERE and name not in options:
                metrics[name] = value
        ends = run.status, reason, outside
        given = recorded_supervision(run) or config.supervision
        return cls(key, config, *ends, metrics, history, environment, given)

    def is_left(self, *, retry: bool) -> bool:
        """Whether it is still to be run.

        A failed one is with `retry`, or if it failed for a reason outside the run.
        """
        if self.status == "failed":
            return retry or self.outside
        return self.status != "done"

    def needs_evaluation(self, metrics: Iterable[str]) -> bool:
        """Whether it is done and one of these is still to be computed."""
        return self.status == "done" and not self.metrics.keys() >= {*metrics}

    @property
    def uses_masks(self) -> bool:
        """Whether its method depends on annotations."""
        return self.supervision in WITH_MASKS

    @property
    def method(self) -> str:
        """The method that was trained."""
        return self.settings.method

    @property
    def seed(self) -> int:
        """The seed of its network and of all its draws but the data's."""
        return self.settings.seed


def _interned(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with names that all runs share: they are most of the memory."""
    return {
        intern(name): _interned(value) if isinstance(value, dict) else value
        for name, value in fields.items()
    }


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The runs of a grid, read once; all that is shown of them is made from this.

    Attributes:
        out: where what is made of them is written.
        plan: the grid.
        records: one for each run of the plan, in its order.
        source: what was read, a folder or a file of records; None: `out`.
    """

    out: Path
    plan: Plan
    records: tuple[RunRecord, ...]
    source: Path | None = None

    @property
    def are_done(self) -> bool:
        """Whether every run is done."""
        return all(record.status == "done" for record in self.records)

    def runs(self) -> list[RunRecord]:
        """Return one record for each run: runs that share one count once."""
        found: dict[str, RunRecord] = {}
        for record in self.records:
            found.setdefault(record.id, record)
        return list(found.values())

    def counts(self) -> dict[str, int]:
        """Return how many runs are in each of `STATUSES`."""
        counts = Counter(record.status for record in self.runs())
        return {status: counts[status] for status in STATUSES}


def open_runs(path: Path) -> RunFolder:
    """Read a folder of runs, or a file of records; its folder takes what is written.

    Raises:
        ResultsError: it is neither, or broken.
    """
    if not path.is_file():
        return find_runs(path, read_plan(path))
    found = read_records(path)
    pending = RunFiles("pending")
    runs = _join(
        path.parent, found.plan, lambda key: found.runs.get(key, pending), found.id_of
    )
    return replace(runs, source=path)


def find_runs(out: Path, plan: Plan) -> RunFolder:
    """Read what the runs of a plan have left in a folder."""
    return _join(out, plan, lambda key: read_run(out / "cells" / key), config_id)


def _join(
    out: Path,
    plan: Plan,
    find: Callable[[str], RunFiles],
    id_of: Callable[[RunConfig], str],
) -> RunFolder:
    """Give each run of a plan the record of its run, found by its id."""
    known: dict[str, RunRecord] = {}
    records = []
    for config in plan.configs:
        key = id_of(config)
        if key not in known:
            known[key] = RunRecord.of(key, config, find(key))
        records.append(replace(known[key], settings=config))
    return RunFolder(out, plan, tuple(records))
