"""The runs of grids as a table of pandas: `read_runs`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pandas import DataFrame

from reff_bench.results.folder import RunRecord, open_runs


def read_runs(*paths: str | Path) -> DataFrame:
    """Return one row for each run of some grids, finished or not.

    The columns are flat: `id`, `grid` (its name), `status` (`done`, `failed`,
    `incomplete`, `pending`), `reason` (why it failed), every field of the settings
    (`method`, `seed`, `bg`, `annotations`, ...), `supervision` (what the method is
    given beside images and labels), then what was measured and where it
    ran. Fractions are in [0, 1]; what isn't known is missing (NaN or None). A metric by
    group has a column for each, `test_group_accuracies.3, aligned background`;
    `history_loss` and its like hold a list with one value per epoch.

    A table is a pivot of it. Whatever differs among the runs besides the seed, such as
    tuned weights, has to be an index, a column or a condition, or it is pooled as well.

    Examples:
        >>> from reff_bench import read_runs
        >>> runs = read_runs("results/pilot/records.jsonl")
        >>> runs = runs[runs.weight.isna() & (runs.seed == 100)]
        >>> runs[["id", "method", "val_accuracy"]].shape
        (2, 3)
        >>> runs.pivot_table("val_shifted_accuracy", index="tex", columns="method")
        method  background_swap  baseline
        tex
        0.0              0.7975     0.205

    Args:
        paths: folders of runs (OUT of `reff-bench run`), or files of records (of
            `reff-bench collect`). Of two runs with one id the first is kept.

    Raises:
        ResultsError: one of the paths is neither, or broken.
    """
    rows: dict[str, dict[str, Any]] = {}
    for path in paths:
        runs = open_runs(Path(path))
        for run in runs.runs():
            rows.setdefault(run.id, dict(_columns(run, runs.plan.name)))
    return DataFrame([*rows.values()])


def _columns(run: RunRecord, grid: str) -> Iterator[tuple[str, Any]]:
    yield from {"id": run.id, "grid": grid}.items()
    yield from {"status": run.status, "reason": run.reason}.items()
    yield from run.settings.flat().items()
    yield "supervision", run.supervision
    yield from _flat(run.metrics)
    yield from ((f"history_{name}", list(each)) for name, each in run.history.items())
    yield from _flat(run.environment)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
