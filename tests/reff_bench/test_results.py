"""Plans and records in a folder of runs, in one file, and as a DataFrame."""

import json
import math
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reff_bench
from reff_bench import __version__
from reff_bench.grid.config import RunConfig, config_id, run_fields
from reff_bench.grid.model import TableSpec
from reff_bench.report.claims.check import check_claims
from reff_bench.report.files import write_tables
from reff_bench.report.tables import build_table
from reff_bench.results.collected import collect_runs, read_records, restore
from reff_bench.results.folder import find_runs, open_runs
from reff_bench.results.json_file import ResultsError, _finite
from reff_bench.results.plan import read_plan, write_plan
from reff_bench.results.run import (
    CONFIG_NAME,
    EVALUATION_NAME,
    RECORD_FIELDS,
    RECORD_NAME,
    make_record,
    read_record,
    read_run,
    run_folder,
    status_of,
    write_record,
)
from tests.reff_bench import fakes
from tests.reff_bench.fakes import call, make_config, make_plan, write_grid
from tests.reff_bench.made_up_runs import study, study_configs, write_run, write_runs
from texturedmnist.common.files import write_atomically

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=8,
)


def damage(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def write_done(out: Path, config: RunConfig) -> Path:
    folder = run_folder(out, config)
    write_record(folder, make_record(config, "done", val_accuracy=0.5))
    write_record(folder, {"test_accuracy": 0.25}, EVALUATION_NAME)
    return folder


def test_a_record_holds_every_field_of_its_run_by_its_plain_name() -> None:
    record = make_record(make_config(annotations=5), "done", val_accuracy=0.5)
    assert set(run_fields([])) | set(RECORD_FIELDS) == set(record)
    assert (record["annotations"], record["val_accuracy"]) == (5, 0.5)
    assert record["test_accuracy"] is None


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    record = make_record(make_config(), "done", test_accuracy=1 / 3)
    (tmp_path / RECORD_NAME).write_text(json.dumps(record))  # of earlier releases
    assert read_record(tmp_path) == record
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == [RECORD_NAME]
    # A number that isn't finite is null.
    write_record(tmp_path, {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf}})
    assert read_record(tmp_path) == {"a": None, "b": [None, 1.5], "c": {"d": None}}


@settings(max_examples=40, deadline=None)  # the machine may be busy
@given(JSON)
def test_no_number_that_is_not_finite_is_ever_written(value: object) -> None:
    text = json.dumps(_finite({"value": value}), allow_nan=False)
    assert json.loads(text).keys() == {"value"}


NO_OBJECT = (b"", b"{", b"[1]", b"\xff", b'{"other": [NaN]}', b'{"a": -Infinity}')


@pytest.mark.parametrize(
    ("content", "words"),
    [
        *((content, "is not a JSON object") for content in NO_OBJECT),
        (b'{"other": [1e999]}', "holds a number that isn't finite"),
    ],
)
def test_a_broken_record_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_bytes(content)
    with pytest.raises(ResultsError, match=rf"record.json {words}; remove the file"):
        read_record(tmp_path)


def test_the_status_follows_the_files(tmp_path: Path) -> None:
    config = make_config()
    folder = run_folder(tmp_path, config)
    assert status_of(folder) == "pending"
    write_atomically(folder / CONFIG_NAME, config.model_dump_json())
    assert status_of(folder) == "incomplete"
    write_record(folder, make_record(config, "done"))
    assert status_of(folder) == "incomplete"  # trained, not yet evaluated
    write_record(folder, {"test_accuracy": 0.5}, EVALUATION_NAME)
    assert status_of(folder) == "done"
    damage(folder / EVALUATION_NAME, "0.5", "0.75")
    assert status_of(folder) == "incomplete"  # to be evaluated again
    write_record(folder, make_record(config, "failed", reason="no reason"))
    assert status_of(folder) == "failed"


def test_a_shared_run_counts_once_and_has_a_record_for_each_run(tmp_path: Path) -> None:
    configs = [make_config("baseline", annotations=n) for n in (5, "all")]
    write_done(tmp_path, configs[0])
    runs = find_runs(tmp_path, make_plan([*configs, make_config("reff")]))
    assert runs.counts() == {"done": 1, "failed": 0, "incomplete": 0, "pending": 1}
    assert not runs.are_done
    found = runs.records
    assert [one.settings.annotations for one in found] == [5, "all", "all"]
    assert [one.metrics.get("test_accuracy") for one in found] == [0.25, 0.25, None]
    assert [one.status for one in found] == ["done", "done", "pending"]
    assert found[0].id == found[1].id == config_id(configs[0])
    assert runs.runs() == [found[0], found[2]]


def test_a_record_has_what_is_known_sorted(tmp_path: Path) -> None:
    config = make_config(seed=3)
    environment = {"device": "a CPU", "versions": {"torch": "9.9"}, "compiled": False}
    history = {"history_loss": [2.0, 1.0], "history_val_accuracy": [0.25, 0.5]}
    values = {"val_accuracy": 0.5, "own_metric": 3, "peak_memory_bytes": None}
    record = make_record(config, "done", **environment, **history, **values)
    write_record(run_folder(tmp_path, config), record)
    groups = {"test_group_accuracies": {"3": 0.5, "4": None}, "val_accuracy": 0.75}
    write_record(run_folder(tmp_path, config), groups, EVALUATION_NAME)
    (run,) = find_runs(tmp_path, make_plan([config])).records
    assert (run.settings, run.method, run.seed) == (config, "reff", 3)
    assert run.metrics == {**groups, "own_metric": 3}
    found = {f"history_{name}": [*each] for name, each in run.history.items()}
    assert found == history
    assert run.environment == {**environment, "package_version": __version__}


WRONG: dict[str, dict[str, Any]] = {
    "test_accuracy is no number": {"test_accuracy": "high"},
    "val_accuracy is no share from 0 to 1": {"val_accuracy": 300.0},
    "test_samples is no count of 1 or more": {"test_samples": 0},
    "epg is no number": {"epg": True},
    "own:metric is no number": {"own:metric": [0.5]},
    "images_per_second is no number": {"images_per_second": 10**400},
    "history_loss is no list of numbers": {"history_loss": [0.5, None]},
    "history_map is no list of numbers": {"history_map": 0.5},
    "versions is no object": {"versions": "9.9"},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_record_no_table_can_show_is_a_failure(words: str, tmp_path: Path) -> None:
    folder = write_done(tmp_path, make_config())
    write_record(folder, make_record(make_config(), "done", **WRONG[words]))
    run = read_run(folder)
    assert run.status == "failed"
    assert f"record.json: {words}; remove the file" in str((run.record or {})["reason"])


def test_a_plan_is_read_as_it_was_written_and_not_written_again(tmp_path: Path) -> None:
    configs = [make_config(), make_config("abn")]
    plan = make_plan(configs, options={"weight": (0.1, 1.0)})
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    before = (tmp_path / "grid.json").stat()
    write_plan(tmp_path, plan)
    assert (tmp_path / "grid.json").stat().st_mtime_ns == before.st_mtime_ns
    write_plan(tmp_path, make_plan([]))
    assert read_plan(tmp_path) == make_plan([])


def test_a_changed_record_makes_its_run_failed_and_says_why(tmp_path: Path) -> None:
    configs = [make_config(), make_config("baseline")]
    folder, _ = (write_done(tmp_path, config) for config in configs)
    damage(folder / RECORD_NAME, '"val_accuracy": 0.5', '"val_accuracy": 0.9')
    with pytest.raises(ResultsError, match=r"record.json was damaged or changed .* ag"):
        read_record(folder)
    broken, fine = find_runs(tmp_path, make_plan(configs)).records
    assert (broken.status, broken.metrics) == ("failed", {})
    assert "record.json was damaged or changed" in str(broken.reason)
    assert (fine.status, fine.metrics["val_accuracy"]) == ("done", 0.5)


@pytest.mark.parametrize("content", ["{}", '{"status": 3}', "[" * 99_999])
def test_a_record_without_status_is_a_failure(content: str, tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_text(content)
    assert status_of(tmp_path) == "failed"


def test_a_record_of_another_run_is_refused(tmp_path: Path) -> None:
    one, other = (write_done(tmp_path, make_config(seed=n)) for n in (0, 1))
    (one / RECORD_NAME).write_bytes((other / RECORD_NAME).read_bytes())
    with pytest.raises(ResultsError, match=f"is of the run {other.name}; remove"):
        read_record(one)
    assert (status_of(one), status_of(other)) == ("failed", "done")


CHANGES = {
    '"record_version": 1': ('"record_version": 99', "record version 99; this reff-ben"),
    '"configs"': ('"sells"', "configs: Field required; remove"),
}


@pytest.mark.parametrize("old", CHANGES)
def test_a_damaged_plan_is_named(old: str, tmp_path: Path) -> None:
    write_plan(tmp_path, make_plan([]))
    path = tmp_path / "grid.json"
    new, message = CHANGES[old]
    damage(path, old, new)
    with pytest.raises(ResultsError, match=r"grid.json was damaged or changed since"):
        read_plan(tmp_path)
    fields = json.loads(path.read_text())
    del fields["sha256"]  # as of earlier releases
    path.write_text(json.dumps(fields))
    with pytest.raises(ResultsError, match=rf"grid.json:? .*{message}"):
        read_plan(tmp_path)


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", "a+/b", "", "a" * 101])
def test_a_plan_of_a_name_that_no_grid_has_is_refused(
    name: str, tmp_path: Path
) -> None:
    write_plan(tmp_path, make_plan([]).model_copy(update={"name": name}))
    with pytest.raises(ResultsError, match=r"grid.json: name: String should match"):
        read_plan(tmp_path)


@pytest.mark.parametrize("name", ["a.b-c_d", "été", "first+second", "a" * 100])
def test_a_plan_has_any_name_of_a_grid_or_of_several(tmp_path: Path, name: str) -> None:
    write_plan(tmp_path, make_plan([]).model_copy(update={"name": name}))
    assert read_plan(tmp_path).name == name


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


def test_a_file_holds_no_paths_of_a_machine(tmp_path: Path) -> None:
    known = {"backbone": "resnet18", "weights_identity": "1" * 64}
    for name in ("a", "b"):
        paths = {"weights": f"/home/{name}/net.pth", "root": f"/home/{name}/tm"}
        study(tmp_path / name, seeds=(0, 1), **known, **paths)
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


MISTAKES = {
    "empty": (b"", "is no file of records of version 1; give a folder of runs, or"),
    "text": (b"hello\n", "line 1: can't be read .*; collect the runs again"),
    "other": (b'{"format": "x"}\n', "is no file of records of version 1"),
    "deep": (b"[" * 100_000 + b"\n", "line 1: can't be read"),
    "binary": (b"\xff\xfe\x00", "line 1: can't be read"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_file_of_another_kind_is_refused(kind: str, tmp_path: Path) -> None:
    content, message = MISTAKES[kind]
    (tmp_path / "records.jsonl").write_bytes(content)
    with pytest.raises(ResultsError, match=message):
        read_records(tmp_path / "records.jsonl")


BROKEN_LINES: list[tuple[object, str]] = [
    ({"record": {}}, "line 2: no run"),
    ({"record": {}, "evaluation": {"epg": "high"}}, "line 2: epg is no number"),
    ([], r"line 2: can't be read \(no JSON object\)"),
]
CHANGED = ((1, '"method":"reff"', '"method":"abn"'), (3, '"seed":0', '"seed":1'))


def test_a_broken_or_changed_line_is_named(kept: Path) -> None:
    whole = kept.read_text().splitlines(keepends=True)
    for line, message in BROKEN_LINES:
        kept.write_text(f"{whole[0]}{json.dumps(line)}\n")
        with pytest.raises(ResultsError, match=f"{message}; collect the runs again"):
            read_records(kept)
    for number, one, other in CHANGED:
        lines = [*whole]
        lines[number - 1] = lines[number - 1].replace(one, other)
        kept.write_text("".join(lines))
        message = rf"records\.jsonl, line {number} was damaged or changed since it was "
        with pytest.raises(ResultsError, match=f"{message}written; collect the runs"):
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
    few = {"methods": ("baseline", "reff", "abn"), "amounts": (1, "all")}
    study(tmp_path / "out", seeds=(0,), **few)
    collected = call("collect", "out", "--into", "kept/all.jsonl")
    assert collected.output == "kept/all.jsonl: 3 runs, 2 not done yet\n"
    for command in ("table", "claims", "report", "figures"):
        result = call(command, "kept/all.jsonl")
        assert result.exit_code == 0, result.output
    names = {path.name for path in Path("kept").glob("[!.]*")}  # locks are hidden
    assert names == {"all.jsonl", "tables", "figures", "claims.json", "report.html"}


def test_a_files_runs_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    one, groups = configs[0], {"3": 0.5, "4": None}
    write_run(run_folder(tmp_path, one), one, test_group_accuracies=groups)
    found = reff_bench.read_runs(tmp_path)
    assert sorted(found.id) == sorted({config_id(config) for config in configs})
    assert {*run_fields([]), "grid", "status", "reason"} < {*found.columns}
    assert found.grid.unique().tolist() == ["made-up"]
    assert found.status.value_counts().to_dict() == {"done": 87, "pending": 6}
    assert found["test_group_accuracies.3"].dropna().tolist() == [0.5]
    lost = found[(found.method == "abn") & (found.seed == 2)]
    assert lost.test_accuracy.isna().all()
    assert not found.test_accuracy.drop(lost.index).isna().any()
    assert {*found.history_loss.dropna().map(len)} == {one.epochs}


def test_folders_and_files_are_joined_and_no_run_counts_twice(tmp_path: Path) -> None:
    for name, seeds in (("a", (0, 1)), ("b", (1, 2))):
        configs = [make_config("reff", seed=seed) for seed in seeds]
        write_runs(tmp_path / name, configs, lambda _: True)
    file = tmp_path / "records.jsonl"
    collect_runs([tmp_path / "a"], file)
    found = reff_bench.read_runs(str(file), tmp_path / "b")
    assert found.seed.tolist() == [0, 1, 2]
    write_runs(tmp_path / "c", [make_config("reff", tex=0.5)], lambda _: True)
    both = collect_runs([tmp_path / "a", tmp_path / "c"], tmp_path / "both.jsonl")
    assert {config.tex for config in both.plan.configs} == {0.0, 0.5}  # other data
    with pytest.raises(ResultsError, match=r"has no grid.json: no grid was run there"):
        reff_bench.read_runs(tmp_path)
    with pytest.raises(ResultsError, match=r"no file .*gone.jsonl; 'reff-bench coll"):
        reff_bench.read_runs(tmp_path / "gone.jsonl")
