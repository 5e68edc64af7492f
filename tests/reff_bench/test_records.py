"""Runs of several folders in one file and back, and as a DataFrame."""

import json
from pathlib import Path
from statistics import fmean, stdev

import pytest

import reff_bench
from reff_bench.grid.config import config_id, run_fields
from reff_bench.grid.model import TableSpec
from reff_bench.report.claims.check import check_claims
from reff_bench.report.files import write_tables
from reff_bench.report.tables import build_table
from reff_bench.results.collected import collect_runs, read_records, restore
from reff_bench.results.folder import find_runs, open_runs
from reff_bench.results.json_file import ResultsError
from reff_bench.results.run import CONFIG_NAME, run_folder, status_of
from tests.reff_bench import fakes
from tests.reff_bench.fakes import call, make_config, make_plan, write_grid
from tests.reff_bench.made_up_runs import study, study_configs, write_run, write_runs

MISTAKES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is no file of records of version 1; give a folder of runs, or"),
    "text": ("hello\n", "line 1: can't be read .*; collect the runs again"),
    "other": ('{"format": "x"}\n', "is no file of records of version 1"),
    "deep": ("[" * 100_000 + "\n", "line 1: can't be read"),
    "binary": (b"\xff\xfe\x00", "line 1: can't be read"),
}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The records of a study with one seed."""
    study(tmp_path / "out", seeds=(0,))
    collect_runs([tmp_path / "out"], tmp_path / "records.jsonl")
    return tmp_path / "records.jsonl"


def test_tables_and_claims_of_a_file_are_those_of_the_folder(tmp_path: Path) -> None:
    study(tmp_path / "out")
    file = tmp_path / "kept" / "records.jsonl"
    collect_runs([tmp_path / "out"], file)
    folder, found = open_runs(tmp_path / "out"), open_runs(file)
    assert found.out == file.parent
    assert found.records == folder.records
    assert check_claims(found) == check_claims(folder)
    assert write_tables(found)[0] == write_tables(folder)[0]


def test_runs_of_two_machines_become_one_table(tmp_path: Path) -> None:
    configs = study_configs(seeds=(0, 1))
    plan = make_plan(configs)
    for seed in (0, 1):
        write_runs(tmp_path / str(seed), configs, lambda c, s=seed: c.seed == s)  # type: ignore[misc]
    file = tmp_path / "records.jsonl"
    collect_runs([tmp_path / "0"], file)
    assert {run.status for run in open_runs(file).records} == {"done", "pending"}
    collected = collect_runs([tmp_path / "1"], file)  # the file's own runs stay
    assert collected.runs.keys() == {*map(config_id, configs)}
    assert open_runs(file).are_done
    assert open_runs(file).plan.configs == plan.configs
    before = file.read_bytes()
    collect_runs([tmp_path / "0", tmp_path / "1"], file)
    assert file.read_bytes() == before


def test_grids_of_other_data_are_joined(tmp_path: Path) -> None:
    study(tmp_path / "a", seeds=(0,))
    study(tmp_path / "b", seeds=(0,), tex=0.5)
    found = collect_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "both.jsonl")
    assert {config.tex for config in found.plan.configs} == {0.0, 0.5}


def test_a_file_holds_no_paths_of_a_machine(tmp_path: Path) -> None:
    for name in ("a", "b"):
        weights, root = f"/home/{name}/net.pth", f"/home/{name}/tm"
        more = {"weights": weights, "weights_identity": "1" * 64, "root": root}
        study(tmp_path / name, seeds=(0, 1), backbone="resnet18", **more)
    file = tmp_path / "both.jsonl"
    found = collect_runs([tmp_path / "a", tmp_path / "b"], file)
    assert len(found.plan.configs) == len(study_configs(seeds=(0, 1)))
    assert {config.weights for config in found.plan.configs} == {"net.pth"}
    assert "/home/" not in file.read_text()


def test_grids_that_choose_otherwise_are_not_joined(tmp_path: Path) -> None:
    configs = [make_config(weight=one) for one in (1.0, 3.0)]
    write_runs(tmp_path / "a", configs, lambda c: True)
    write_runs(tmp_path / "b", configs, lambda c: True, options={"weight": (1.0, 3.0)})
    with pytest.raises(ResultsError, match="chooses its hyper-parameters otherwise"):
        collect_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "both.jsonl")


def test_records_are_put_back_where_runs_are_missing(tmp_path: Path) -> None:
    configs = study(tmp_path / "out")
    file = tmp_path / "records.jsonl"
    found = collect_runs([tmp_path / "out"], file)
    other = tmp_path / "other"
    assert restore(read_records(file), other, configs) == len(found.runs)
    assert restore(read_records(file), other, configs) == 0
    runs = find_runs(other, found.plan)
    assert runs.counts()["done"] == len(found.runs)
    assert runs.records == open_runs(tmp_path / "out").records
    assert not (run_folder(other, configs[0]) / CONFIG_NAME).exists()


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_file_of_another_kind_is_refused(kind: str, tmp_path: Path) -> None:
    content, message = MISTAKES[kind]
    path = tmp_path / "records.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ResultsError, match=message):
        read_records(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"record": {}}, "line 2: no run; collect the runs again"),
        (
            {"record": {}, "evaluation": {"epg": "high"}},
            "line 2: epg is no number; collect the runs again",
        ),
        ([], r"line 2: can't be read \(no JSON object\)"),
    ],
)
def test_a_broken_line_is_named(line: object, message: str, kept: Path) -> None:
    head = kept.read_text().splitlines()[0]
    kept.write_text(f"{head}\n{json.dumps(line)}\n")
    with pytest.raises(ResultsError, match=message):
        read_records(kept)


def without_digests(path: Path) -> Path:
    """Rewrite a file as earlier releases wrote it."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["sha256"]
    del lines[0]["runs"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_broken_plan_is_named(kept: Path) -> None:
    without_digests(kept)
    kept.write_text(kept.read_text().replace('"method": "reff"', '"methode": "reff"'))
    with pytest.raises(ResultsError, match=r"configs.\d+.method: Field required"):
        read_records(kept)


@pytest.mark.parametrize(
    ("number", "one", "other"),
    [(1, '"method":"reff"', '"method":"abn"'), (3, '"seed":0', '"seed":1')],
)
def test_a_changed_line_is_named(number: int, one: str, other: str, kept: Path) -> None:
    lines = kept.read_text().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(one, other)
    kept.write_text("".join(lines))
    message = (
        rf"records\.jsonl, line {number} was damaged or changed since it was written; "
        "collect the runs again"
    )
    with pytest.raises(ResultsError, match=message):
        read_records(kept)


def test_a_lost_line_is_found_and_order_and_doubles_say_nothing(kept: Path) -> None:
    collected = read_records(kept)
    head, *lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join([head, *lines[::-1], lines[0]]))
    assert read_records(kept) == collected
    kept.write_text("".join([head, *lines[:-1]]))
    message = f"holds {len(lines) - 1} of its {len(lines)} runs; coll"
    with pytest.raises(ResultsError, match=message):
        read_records(kept)


def test_a_file_without_digests_is_read_and_gets_them(kept: Path) -> None:
    collected, sound = read_records(kept), kept.read_bytes()
    assert read_records(without_digests(kept)) == collected
    collect_runs([kept.parent / "out"], kept)
    assert kept.read_bytes() == sound


def test_the_commands_take_a_file_where_they_take_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study(tmp_path / "out", seeds=(0,), methods=("baseline", "reff", "abn"))
    collected = call("collect", "out", "--into", "kept/all.jsonl")
    assert collected.output == "kept/all.jsonl: 7 runs, 6 not done yet\n"
    for command in ("table", "claims", "report", "figures"):
        result = call(command, "kept/all.jsonl")
        assert result.exit_code == 0, result.output
    names = {path.name for path in Path("kept").glob("[!.]*")}  # locks are hidden
    assert names == {"all.jsonl", "tables", "figures", "claims.json", "report.html"}


def test_runs_of_a_file_count_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fakes.make_up_work(monkeypatch)
    monkeypatch.setattr("reff_bench.cli.commands.write_page", lambda runs: runs)
    grid = write_grid(tmp_path)
    half = ("run", grid, "--device", "cpu", "--jobs", 1)
    assert call(*half, "--set", "seed=[0]", "--out", "one").exit_code == 0
    call("collect", "one", "--into", "all.jsonl")
    dry = call(*half, "--out", "two", "--records", "all.jsonl", "--dry-run")
    assert "would run 3 now" in dry.stdout
    assert not Path("two").exists()
    result = call(*half, "--out", "two", "--records", "all.jsonl")
    assert result.exit_code == 0, result.output
    assert "3 runs taken from all.jsonl" in result.stderr
    assert "6 done" in call("status", "two").stdout
    taken = read_records(Path("all.jsonl")).runs
    assert all(status_of(Path("two/cells") / key) == "done" for key in taken)


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
