"""What a method is given beside images and labels: in records, tables and grids."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import reff_bench
from reff_bench.catalog.find import CatalogError
from reff_bench.catalog.methods import METHODS, SUPERVISIONS, method_spec
from reff_bench.grid.config import GridError, RunConfig
from reff_bench.grid.load import load_grid
from reff_bench.grid.model import TableSpec
from reff_bench.methods.registry import find_method
from reff_bench.report.costs import relative_costs
from reff_bench.report.render import to_latex
from reff_bench.report.tables import build_table
from reff_bench.report.words import caption, describe_supervision
from reff_bench.results.folder import RunRecord
from reff_bench.results.run import make_record
from tests.reff_bench.fakes import call, make_config, make_plan, make_row

ROOT = Path(__file__).parents[2]
SPEC = TableSpec(name="all", rows="supervision", columns="annotations")


def run(method: str, **fields: Any) -> RunRecord:
    usual: Any = {"test_accuracy": 0.5, "val_accuracy": 0.5, "device": "a CPU"}
    measured = {*fields} & {"images_per_second", "notes"}
    values = usual | {name: fields.pop(name) for name in measured}
    return make_row(make_config(method, **fields), **values)


def head(rows: list[RunRecord], spec: TableSpec = SPEC, **select: Any) -> str:
    plan = make_plan([], **select)
    return caption(spec, plan.select, build_table(spec, plan, rows).panels)


def test_every_kind_of_supervision_is_that_of_a_method() -> None:
    assert {spec.supervision for spec in METHODS.values()} == {*SUPERVISIONS}
    masked = {name for name, spec in METHODS.items() if spec.uses_masks}
    assert {"reff", "rrr", "mask_input"} < masked
    grouped = {name for name, spec in METHODS.items() if spec.uses_groups}
    assert grouped == {"group_balanced", "group_dro", "dfr"}


@pytest.mark.parametrize(
    ("method", "annotations", "words"),
    [
        ("lff", 5, "none"),
        ("reff", "all", "all masks"),
        ("reff", 5, "masks of 5 images per class"),
        ("mask_input", "all", "all masks, and each image's own when deployed"),
        ("dfr", "all", "validation groups"),
    ],
)
def test_supervision_in_words(method: str, annotations: int | str, words: str) -> None:
    row = make_row(make_config(method, annotations=annotations))
    assert describe_supervision(row) == words


def test_a_record_says_what_its_method_was_given_and_its_id_does_not() -> None:
    config = make_config("rrr")
    assert make_record(config, "done")["supervision"] == "masks"
    assert "supervision" not in RunConfig.model_fields
    assert "supervision" not in config.canonical()


def test_records_of_earlier_releases_get_it_when_they_are_read(tmp_path: Path) -> None:
    old = tmp_path / "records.jsonl"
    pilot = (ROOT / "results" / "pilot" / "records.jsonl").read_text()
    lines = [json.loads(line) for line in pilot.splitlines()]
    for line in lines:
        del line["sha256"]  # lines had no digest either
        line.get("record", {}).pop("supervision", None)
    old.write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = reff_bench.read_runs(old).groupby("method").supervision.unique()
    assert given["reff"].tolist() == ["masks"]
    assert given["baseline"].tolist() == ["none"]


def test_a_table_has_a_row_for_each_kind_in_one_order() -> None:
    rows = [run(method) for method in ("dfr", "rrr", "jtt", "group_dro", "mask_input")]
    spec = TableSpec(name="all", rows="supervision", columns="method")
    (panel,) = build_table(spec, make_plan([]), rows).panels
    assert panel.rows == SUPERVISIONS
    assert {*panel.entries} == {(row.settings.supervision, row.method) for row in rows}
    only = spec.model_copy(update={"where": {"supervision": "masks"}})
    (panel,) = build_table(only, make_plan([]), rows).panels
    assert panel.columns == ("rrr",)


def test_a_head_says_supervision_trainings_cost_and_notes() -> None:
    told = "GroupDRO: 3 of 20 groups have no image in the split train"
    rows = [run("baseline", images_per_second=100.0, seed=s) for s in (0, 1)]
    for weight, s in product((1.0, 10.0), (0, 1)):
        rows.append(run("reff", weight=weight, images_per_second=40.0, seed=s))
    rows.append(run("group_dro", images_per_second=95.0, notes=[told]))
    spec = TableSpec(name="all", rows="annotations", columns="method")
    found = head(rows, spec, options={"weight": (1.0, 10.0)})
    for words in (
        "Supervision: none (Baseline); all masks (ReFF); training groups (GroupDRO).",
        "Trainings, tuning included: Baseline 2, ReFF 4, GroupDRO 1.",
        "Cost of a step, Baseline 1: ReFF 2.5, GroupDRO 1.1.",
        f"{told} (runs: 1).",
    ):
        assert words in found, found
    table = build_table(spec, make_plan([]), rows)
    assert "all masks (ReFF)" in to_latex(table, make_plan([]).select)


def test_budgets_that_vary_stand_in_the_table_and_not_in_its_head() -> None:
    spec = TableSpec(name="all")
    found = head([run("reff", annotations=a) for a in (1, 5, "all")], spec)
    assert "Supervision: masks (ReFF)." in found
    assert "Trainings of each method, tuning included: 3." in found
    assert "Cost" not in found  # there is no Baseline to hold it against


def test_costs_on_different_devices_are_not_compared() -> None:
    rows = [run("baseline", images_per_second=100.0)]
    rows += [run("reff", images_per_second=40.0, threads=2)]
    assert "Cost" not in head(rows, TableSpec(name="all"))


def test_a_filter_by_an_unknown_supervision_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(
        "data: {bg: 0.1, tex: 0}\naxes: {method: [baseline]}\n"
        "tables: [{rows: supervision, where: {supervision: mask}}]\n"
    )
    with pytest.raises(GridError, match=r"unknown supervision 'mask'; did you mean"):
        load_grid(path)
    path.write_text(path.read_text().replace("mask}", "masks}"))
    (table,) = load_grid(path).tables
    assert table.where == {"supervision": "masks"}


def test_a_method_of_ones_own_says_what_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = replace(find_method("baseline"), uses_masks=False)

    def use(supervision: Any) -> None:  # noqa: ANN401 (a wrong one, too)
        own = replace(method, supervision=supervision)
        monkeypatch.setattr("reff_bench.catalog.methods.load_method", lambda _: own)

    for given in (None, "training groups"):
        use(given)
        assert method_spec("mine:own").supervision == (given or "none")
    use("luck")
    with pytest.raises(CatalogError, match="mine:own has the supervision 'luck'; it"):
        method_spec("mine:own")


def test_list_shows_what_each_method_is_given() -> None:
    lines = call("list", "methods").output.splitlines()
    for name, spec in METHODS.items():
        (line,) = (one for one in lines if one.startswith(f"  {name} "))
        assert line.endswith(spec.supervision)


def test_costs_are_those_of_the_processor_where_known() -> None:
    """The second seed of ReFF had half a core."""

    def timed(method: str, seconds: float, own: float, seed: int) -> RunRecord:
        times: dict[str, Any] = {"train_seconds": seconds, "processor_seconds": own}
        times["images_per_second"] = 100 / seconds
        return make_row(make_config(method, seed=seed), **times)

    rows = [timed("baseline", 10, 10, seed) for seed in (0, 1)]
    rows += [timed("reff", 20, 20, 0), timed("reff", 40, 20, 1)]
    for data in (None, lambda _: "data"):
        costs = relative_costs(rows, lambda row: row.method, data)
        assert costs == {"baseline": 1.0, "reff": pytest.approx(2.0)}
    rows.append(run("rrr", images_per_second=2.0))  # on the clock, beside no Baseline
    assert "rrr" not in relative_costs(rows, lambda row: row.method)
