import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reff_bench import __version__
from reff_bench.grid.config import RunConfig, config_id, run_fields
from reff_bench.results.folder import find_runs
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
from tests.reff_bench.fakes import make_config, make_plan
from texturedmnist.common.files import write_atomically

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=8,
)


def test_a_record_holds_every_field_of_its_run_by_its_plain_name() -> None:
    record = make_record(make_config(annotations=5), "done", val_accuracy=0.5)
    assert set(run_fields([])) | set(RECORD_FIELDS) == set(record)
    assert (record["annotations"], record["val_accuracy"]) == (5, 0.5)
    assert record["test_accuracy"] is None


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    record = make_record(make_config(), "done", test_accuracy=1 / 3)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == [RECORD_NAME]


@settings(max_examples=40)
@given(JSON)
def test_no_number_that_is_not_finite_is_ever_written(value: object) -> None:
    text = json.dumps(_finite({"value": value}), allow_nan=False)
    assert json.loads(text).keys() == {"value"}


def test_nan_is_null(tmp_path: Path) -> None:
    write_record(tmp_path, {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf}})
    assert read_record(tmp_path) == {"a": None, "b": [None, 1.5], "c": {"d": None}}


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


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


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
    write_record(folder, make_record(config, "failed", reason="no reason"))
    assert status_of(folder) == "failed"


def test_a_shared_run_counts_once_and_has_a_record_for_each_run(tmp_path: Path) -> None:
    configs = [make_config("baseline", annotations=n) for n in (5, "all")]
    folder = run_folder(tmp_path, configs[0])
    write_record(folder, make_record(configs[0], "done", val_accuracy=0.5))
    write_record(folder, {"test_accuracy": 0.25}, EVALUATION_NAME)
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
    assert {name: [*each] for name, each in run.history.items()} == {
        "loss": [2.0, 1.0],
        "val_accuracy": [0.25, 0.5],
    }
    assert run.environment == {**environment, "package_version": __version__}


WRONG: dict[str, dict[str, Any]] = {
    "test_accuracy is no number": {"test_accuracy": "high"},
    "epg is no number": {"epg": True},
    "own:metric is no number": {"own:metric": [0.5]},
    "images_per_second is no number": {"images_per_second": 10**400},
    "history_loss is no list of numbers": {"history_loss": [0.5, None]},
    "history_map is no list of numbers": {"history_map": 0.5},
    "versions is no object": {"versions": "9.9"},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_record_that_no_table_can_show_makes_its_run_failed(
    words: str, tmp_path: Path
) -> None:
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
    before = (tmp_path / "grid.json").stat().st_mtime_ns
    write_plan(tmp_path, plan)
    assert (tmp_path / "grid.json").stat().st_mtime_ns == before
    write_plan(tmp_path, make_plan([]))
    assert read_plan(tmp_path) == make_plan([])


def test_a_plan_of_another_version_is_refused(tmp_path: Path) -> None:
    plan = make_plan([]).model_copy(update={"record_version": 99})
    write_plan(tmp_path, plan)
    with pytest.raises(ResultsError, match="has record version 99; this reff-bench"):
        read_plan(tmp_path)


def test_a_damaged_plan_is_named(tmp_path: Path) -> None:
    write_plan(tmp_path, make_plan([]))
    path = tmp_path / "grid.json"
    fields = json.loads(path.read_text().replace('"configs"', '"sells"'))
    del fields["sha256"]  # as of earlier releases
    path.write_text(json.dumps(fields))
    with pytest.raises(
        ResultsError, match=r"grid.json: configs: Field required; remove"
    ):
        read_plan(tmp_path)


def damage(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def write_done(out: Path, config: RunConfig) -> Path:
    folder = run_folder(out, config)
    write_record(folder, make_record(config, "done", val_accuracy=0.5))
    write_record(folder, {"test_accuracy": 0.25}, EVALUATION_NAME)
    return folder


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
def test_a_record_without_a_status_makes_its_run_failed(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / RECORD_NAME).write_text(content)
    assert status_of(tmp_path) == "failed"


def test_a_changed_evaluation_is_to_be_made_again(tmp_path: Path) -> None:
    folder = write_done(tmp_path, make_config())
    damage(folder / EVALUATION_NAME, "0.25", "0.75")
    assert status_of(folder) == "incomplete"


def test_a_record_of_another_run_is_refused(tmp_path: Path) -> None:
    one, other = (write_done(tmp_path, make_config(seed=n)) for n in (0, 1))
    (one / RECORD_NAME).write_bytes((other / RECORD_NAME).read_bytes())
    with pytest.raises(ResultsError, match=f"is of the run {other.name}; remove"):
        read_record(one)
    assert (status_of(one), status_of(other)) == ("failed", "done")


def test_records_of_earlier_releases_are_read(tmp_path: Path) -> None:
    record = make_record(make_config(), "done", val_accuracy=0.5)
    (tmp_path / RECORD_NAME).write_text(json.dumps(record))
    assert read_record(tmp_path) == record


def test_a_changed_plan_is_refused(tmp_path: Path) -> None:
    write_plan(tmp_path, make_plan([make_config()]))
    damage(tmp_path / "grid.json", '"name": "made-up"', '"name": "made-down"')
    with pytest.raises(ResultsError, match=r"grid.json was damaged or changed since"):
        read_plan(tmp_path)


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", "a+/b", "", "a" * 101])
def test_a_plan_of_a_name_that_no_grid_has_is_refused(
    tmp_path: Path, name: str
) -> None:
    write_plan(tmp_path, make_plan([]).model_copy(update={"name": name}))
    with pytest.raises(ResultsError, match=r"grid.json: name: String should match"):
        read_plan(tmp_path)


@pytest.mark.parametrize("name", ["a.b-c_d", "été", "first+second", "a" * 100])
def test_a_plan_has_any_name_of_a_grid_or_of_several(tmp_path: Path, name: str) -> None:
    write_plan(tmp_path, make_plan([]).model_copy(update={"name": name}))
    assert read_plan(tmp_path).name == name
