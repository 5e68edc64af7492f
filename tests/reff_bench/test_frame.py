"""The runs of grids as a DataFrame."""

from pathlib import Path
from statistics import fmean, stdev

import pytest

import reff_bench
from reff_bench.grid.config import config_id, run_fields
from reff_bench.grid.model import TableSpec
from reff_bench.report.tables import build_table
from reff_bench.results.collected import collect_runs
from reff_bench.results.folder import open_runs
from reff_bench.results.json_file import ResultsError
from reff_bench.results.run import run_folder
from tests.reff_bench.fakes import make_config
from tests.reff_bench.made_up_runs import study, write_run, write_runs


def test_a_table_is_a_pivot_of_it(tmp_path: Path) -> None:
    study(tmp_path)
    runs = open_runs(tmp_path)
    spec = TableSpec(name="tab")
    (panel,) = build_table(spec, runs.plan, runs.records).panels
    found = reff_bench.read_runs(tmp_path)
    done = found[found.status == "done"]
    groups = done.groupby(["annotations", "method"]).test_accuracy
    pivot = groups.agg([fmean, stdev, "count"])
    assert pivot.shape == (31, 3)  # Baseline's run is one for all annotations
    for place, (mean, std, count) in zip(pivot.index, pivot.to_numpy(), strict=True):
        entry = panel.entries[place]
        assert (entry.mean, entry.std, entry.n) == (mean, std, count)


def test_every_run_has_one_row_with_flat_columns(tmp_path: Path) -> None:
    configs = study(tmp_path)
    groups = {"3": 0.5, "4": None}
    write_run(
        run_folder(tmp_path, configs[0]), configs[0], test_group_accuracies=groups
    )
    found = reff_bench.read_runs(tmp_path)
    assert sorted(found.id) == sorted({config_id(config) for config in configs})
    assert {*run_fields([]), "grid", "status", "reason"} < {*found.columns}
    assert found.grid.unique().tolist() == ["made-up"]
    assert found.status.value_counts().to_dict() == {"done": 87, "pending": 6}
    assert found["test_group_accuracies.3"].dropna().tolist() == [0.5]
    lost = found[(found.method == "abn") & (found.seed == 2)]
    assert lost.test_accuracy.isna().all()
    assert not found.test_accuracy.drop(lost.index).isna().any()
    histories = found.history_loss.dropna()
    assert {len(history) for history in histories} == {configs[0].epochs}


def test_folders_and_files_are_joined_and_no_run_counts_twice(tmp_path: Path) -> None:
    for name, seeds in (("a", (0, 1)), ("b", (1, 2))):
        configs = [make_config("reff", seed=seed) for seed in seeds]
        write_runs(tmp_path / name, configs, lambda _: True)
    file = tmp_path / "records.jsonl"
    collect_runs([tmp_path / "a"], file)
    found = reff_bench.read_runs(str(file), tmp_path / "b")
    assert found.seed.tolist() == [0, 1, 2]


def test_what_holds_no_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"has no grid.json: no grid was run there"):
        reff_bench.read_runs(tmp_path)
