"""The runs of any number of files in one table, on the page and as a chart."""

import base64
import json
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reff_bench
from reff_bench.catalog.methods import METHODS
from reff_bench.report.comparison import Line, compare, source_names
from reff_bench.report.figures.cost import draw_cost, drawn_lines, spread
from reff_bench.report.figures.style import drawing_style
from reff_bench.report.files import write_methods
from reff_bench.report.page.write import write_report
from reff_bench.report.statistics import mean_interval
from reff_bench.results.collected import collect_runs
from reff_bench.results.folder import RunFolder, RunRecord, open_runs
from reff_bench.results.run import run_folder
from tests.reff_bench import fakes
from tests.reff_bench.fakes import call, make_config, make_plan, make_row
from tests.reff_bench.made_up_runs import study_configs, write_run, write_runs
from tests.reff_bench.test_figure_look import check_border, check_texts
from tests.reff_bench.test_page import Page

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OTHER: dict[str, Any] = {"data_identity": "1" * 64, "bg": 0.2}


def folder(name: str | Path, *rows: RunRecord, **select: Any) -> RunFolder:
    plan = make_plan([row.settings for row in rows], **select)
    return RunFolder(Path(name), plan, tuple(rows))


def row(
    method: str, accuracy: float | None = 0.5, *, speed: float = 100.0, **fields: Any
) -> RunRecord:
    """A finished run whose training takes as long as its images do; None: pending."""
    config = make_config(method, **fields)
    if accuracy is None:
        return make_row(config, "pending")
    scores = {"test_accuracy": accuracy, "val_accuracy": 1 - accuracy}
    times = {"images_per_second": speed, "train_seconds": 1000 / speed}
    return make_row(config, "done", device="cpu", **scores, **times)


def lines_of(*folders: RunFolder) -> dict[str, Line]:
    """The lines by method and options."""
    found = compare(folders)
    return {f"{o.first.method} {o.options}".strip(): o for o in found.lines}


def test_only_seeds_are_pooled() -> None:
    rows = [row("reff", s / 10, seed=s) for s in (0, 1, 2)]
    rows += [row("reff", 0.9, seed=0, **OTHER), row("reff", 0.8, seed=0, epochs=9)]
    rows += [row("reff", 0.7, seed=0, annotations=5)]
    rows += [row("reff", 0.6, seed=0, backbone="resnet50")]
    found = compare([folder("a", *rows)])
    assert len(found.data) == 2
    by_runs = {len(o.runs): o for o in found.lines}
    assert sorted(len(o.runs) for o in found.lines) == [1, 1, 1, 1, 3]
    assert by_runs[3].mean("test_accuracy") == pytest.approx(0.1)
    assert by_runs[3].interval("test_accuracy") == mean_interval([0.0, 0.1, 0.2])
    assert {o.options for o in found.lines} == {"epochs 9", "epochs 20"}


def test_lines_that_differ_in_their_code_alone_are_told_apart() -> None:
    rows = [row("a.b:own", code_identity=digit * 64) for digit in "12"]
    first, second = compare([folder("a", *rows)]).lines
    assert first.options != second.options
    assert first.options == f"setting {first.key[:8]}"


def test_a_run_of_two_files_counts_once() -> None:
    runs = [row("reff", 0.5, seed=s) for s in (0, 1)]
    both = (folder("a", runs[0], row("abn", None)), folder("b", *runs))
    lines = lines_of(*both)
    assert [*lines] == ["reff"]  # what has no finished run has no line
    assert [run.seed for run in lines["reff"].runs] == [0, 1]
    assert lines["reff"].sources == ("a", "b")
    assert lines["reff"].trainings == 2
    assert compare(both).unfinished == 1
    assert compare(both).contradictions == ()


def test_a_finished_run_counts_before_a_pending_one() -> None:
    late, done = row("reff", None), row("reff", 0.5)
    for order in ((late, done), (done, late)):
        (line,) = compare([folder(f"{n}", one) for n, one in enumerate(order)]).lines
        assert (len(line.runs), line.planned) == (1, 1)


def test_results_that_contradict_each_other_are_named_and_times_are_none() -> None:
    one, same = row("reff", 0.5), row("reff", 0.5, speed=7.0)
    assert compare([folder("a", one), folder("b", same)]).contradictions == ()
    other = row("reff", 0.25)
    found = compare([folder("a", one), folder("b", other)])
    (told,) = found.contradictions
    assert told.startswith(f"the run {one.id} (reff, annotations all, bg 0, tex 0,")
    assert told.endswith("val_accuracy 0.5 in a, 0.75 in b")
    assert found.lines[0].mean("test_accuracy") == 0.5


TUNED: dict[str, Any] = {"options": {"weight": (1.0, 2.0)}}


def test_a_selection_shows_what_it_chose_and_counts_what_it_took() -> None:
    rows = [
        row("reff", accuracy, weight=weight, seed=seed)
        for weight, accuracy in ((1.0, 0.4), (2.0, 0.6))  # val: 0.6, 0.4
        for seed in (0, 1)
    ]
    rows += [row("baseline", seed=seed) for seed in (0, 1)]
    lines = lines_of(folder("a", *rows, **TUNED))
    trainings = {o.first.method: o.trainings for o in lines.values()}
    assert trainings == {"reff": 4, "baseline": 2}
    (chosen,) = (o for o in lines.values() if o.first.method == "reff")
    assert chosen.first.settings.value("weight") == 1.0
    assert chosen.is_final
    late = folder("a", *rows, row("reff", None, weight=2.0, seed=2), **TUNED)
    assert [o.is_final for o in compare([late]).lines] == [True, False]


def test_tuning_on_other_data_counts_as_trainings_and_has_no_line() -> None:
    rows = [row(m, seed=s) for m in ("reff", "baseline") for s in (0, 1)]
    tried = [row("reff", a, weight=a, seed=9, **OTHER) for a in (0.1, 0.2, 0.3)]
    other = row("reff", backbone="resnet50", seed=9, **OTHER)
    found = compare([folder("a", *rows)], [folder("tuning", *tried, other)])
    lines = {line.first.method: line for line in found.lines}
    trainings = {name: line.trainings for name, line in lines.items()}
    assert trainings == {"reff": 5, "baseline": 2}
    assert (lines["reff"].cost, lines["baseline"].cost) == (1 + 3, 1)
    assert (len(found.data), found.tuning) == (1, ("tuning",))


def test_trainings_are_those_of_the_files_that_a_line_is_from() -> None:
    mine = folder("a", *(row("reff", weight=w) for w in (1.0, 2.0)))
    yours = folder("b", *(row("reff", weight=3.0, seed=s) for s in (0, 1)))
    trainings = {name: o.trainings for name, o in lines_of(mine, yours).items()}
    assert trainings == {"reff weight 1": 2, "reff weight 2": 2, "reff weight 3": 2}


def test_costs_are_held_against_the_baseline_of_the_same_file() -> None:
    tuned = [
        row("reff", speed=40.0, weight=w, seed=s) for w in (1, 2.0) for s in (0, 1)
    ]
    mine = folder("a", row("baseline", speed=100.0), row("baseline", seed=1), *tuned)
    alone = folder("b", row("abn", speed=1.0))
    lines = lines_of(mine, alone)
    reff = lines["reff weight 1"]
    assert reff.step_cost == pytest.approx(2.5)
    assert reff.cost == pytest.approx(2 * 2.5)  # two trainings a seed
    assert (lines["baseline"].step_cost, lines["baseline"].cost) == (1.0, 1.0)
    assert (lines["abn"].step_cost, lines["abn"].cost) == (None, None)
    elsewhere = folder("c", row("baseline", **OTHER), row("abn", speed=50.0))
    (line,) = (o for o in compare([elsewhere]).lines if o.first.method == "abn")
    assert (line.step_cost, line.cost) == (2.0, None)  # other data: steps alone


def test_ranks_are_within_a_data_setting() -> None:
    rows = [row(m, a, seed=s) for m, a in (("reff", 0.5), ("abn", 0.6)) for s in (0, 1)]
    rows += [row("tap", 0.9, seed=0), row("reff", 0.1, seed=0, **OTHER)]
    found = compare([folder("a", *rows)])
    ranks = {(o.first.method, o.first.settings.bg): o.rank for o in found.lines}
    assert {key: rank and rank.mean for key, rank in ranks.items()} == {
        ("abn", 0.0): 1.0,
        ("reff", 0.0): 2.0,
        ("tap", 0.0): None,  # it lacks a seed of the others
        ("reff", 0.2): None,  # it is alone
    }
    assert [*found.seeds.values()] == [(0, 1), ()]


def test_sources_have_the_shortest_names_that_tell_them_apart() -> None:
    paths = [Path("runs/a/all.jsonl"), Path("runs/b/all.jsonl"), Path("runs/quick")]
    assert source_names(paths) == ["a/all.jsonl", "b/all.jsonl", "quick"]
    assert source_names([Path("x/all.jsonl")] * 2) == ["all.jsonl"] * 2


def test_a_preset_has_its_name() -> None:
    size: dict[str, Any] = {"train": 5000, "val": 1000, "test": 5000, "image_size": 96}
    fields = {**size, "digit_size": 96, "data_seed": 0, "digits": "embedded"}
    for bg, words in ((0.0, "preset hard, Text"), (0.05, "preset medium"), (0.3, "T")):
        found = compare([folder("a", row("reff", bg=bg, **fields))])
        assert next(iter(found.data.values())).startswith(words)


OWN = """
from dataclasses import replace
from reff_bench.methods.registry import find_method

def careful():
    plain = find_method("baseline")
    return replace(plain, uses_masks=False, supervision="training groups")
"""


def test_methods_that_are_not_at_hand_are_read_as_their_records_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stranger.py").write_text(OWN)
    with monkeypatch.context() as at_hand:
        at_hand.syspath_prepend(tmp_path)
        # Two amounts are the same run: it uses no masks.
        configs = study_configs(["stranger:careful"], (5, "all"), (0, 1))
        write_runs(tmp_path / "out", configs, lambda _: True)
        collect_runs([tmp_path / "out"], tmp_path / "mine.jsonl")
        expected = [run.id for run in open_runs(tmp_path / "out").runs()]
    sys.modules.pop("stranger")
    assert len(expected) == 2
    into = tmp_path / "all.jsonl"
    assert [*collect_runs([tmp_path / "mine.jsonl"], into).runs] == expected
    assert reff_bench.read_runs(into).supervision.tolist() == ["training groups"] * 2
    (line,) = compare([open_runs(into)]).lines
    assert [run.id for run in line.runs] == expected
    _, cells = table_of(page_of(open_runs(into)))
    assert cells[:4] == ["careful", "training groups", "2", "2"]
    result = call("collect", into, "--into", into)
    assert "2 runs, 0 not done yet" in result.output


def page_of(*folders: RunFolder) -> str:
    path = write_report(folders[0], comparison=compare(folders))
    return path.read_text(encoding="utf-8")


@pytest.fixture
def two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files of records with one run in common, of which they have two results."""
    monkeypatch.chdir(tmp_path)
    # Drawing takes seconds; other tests draw.
    monkeypatch.setattr("reff_bench.cli.report.write_page", page_path)
    for name, methods in (("a", ("baseline", "reff")), ("b", ("abn", "reff"))):
        configs = [make_config(method, seed=s) for method in methods for s in (0, 1)]
        write_runs(Path(name), configs, lambda _: True)
        if name == "b":
            last = configs[-1]
            write_run(run_folder(Path(name), last), last, test_accuracy=0.125)
        collect_runs([Path(name)], Path(f"{name}.jsonl"))
    return tmp_path


TOLD = "test_accuracy 0.66 in a.jsonl, 0.125 in b.jsonl"


def page_path(runs: RunFolder, *given: Any) -> Path:
    """Write the page without figures, which take seconds."""
    return write_report(runs, comparison=given[1] if given else None)


def test_two_results_of_one_run_are_an_error(two_files: Path) -> None:
    result = call("report", "a.jsonl", "b.jsonl")
    assert result.exit_code == 2
    assert "two results of the run " in result.stderr
    assert TOLD in result.stderr
    assert "(such runs: 1)" in result.stderr
    assert "let the first one count with --keep-first" in result.stderr
    assert not (two_files / "report.html").exists()


def test_tuning_is_named_on_the_page(two_files: Path) -> None:
    assert call("report", "a.jsonl", "--tuning", "b.jsonl").exit_code == 0
    text = (two_files / "report.html").read_text(encoding="utf-8")
    assert "Trainings of b.jsonl count as tuning on other data." in Page(text).text
    heads, *lines = table_of(text)
    trainings = {line[0]: line[heads.index("Trainings")] for line in lines}
    assert trainings == {"ReFF": "2", "Baseline": "2"}  # the same runs count once
    result = call("report", "a.jsonl", "--tuning", "absent.jsonl")
    assert result.exit_code == 2
    assert "no file absent.jsonl; " in result.stderr


def test_the_first_result_counts_where_it_is_asked_for(two_files: Path) -> None:
    result = call("report", "--keep-first", "a.jsonl", "b.jsonl")
    assert result.exit_code == 0, result.output
    page = Page((two_files / "report.html").read_text(encoding="utf-8"))
    assert "6 finished runs of 2 files or folders" in page.text
    assert "Runs of which a later file says something else; the first" in page.text
    assert TOLD in page.text


def table_of(text: str) -> list[list[str]]:
    """The cells of the table of all methods, its heads first."""
    (table,) = re.findall(r'<table id="all-methods".*?</table>', text, re.DOTALL)
    lines = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    cells = (re.findall(r"<(t[hd])(.*?)</\1>", line, re.DOTALL) for line in lines)
    return [
        [" ".join(re.sub(r"<.*?>", " ", f"<{text}").split()) for _, text in line]
        for line in cells
    ]


def study(out: Path) -> RunFolder:
    rows = [row("baseline", 0.2, seed=s, speed=100.0 + s) for s in (0, 1)]
    rows += [row("reff", 0.6 + 0.1 * s, seed=s, speed=50.0) for s in (0, 1)]
    rows += [row("reff", 0.5, seed=0, annotations=5, speed=50.0)]
    rows += [row("dfr", 0.4, seed=s, **OTHER) for s in (0, 1)]
    return folder(out, *rows)


def test_the_page_has_a_line_for_each_method_and_setting(tmp_path: Path) -> None:
    bounds = mean_interval([0.6, 0.7])
    assert bounds is not None
    mean = f"65.0 [{100 * bounds.low:.1f}, 100.0]"
    assert [" | ".join(line) for line in table_of(page_of(study(tmp_path)))] == [
        "Method | Supervision | Data | Seeds | Trainings | Step"
        " | Test accuracy, % | Rank | Val accuracy, %",
        f"ReFF | all masks | A | 2 | 2 | 2 | {mean} | 1.0 [1.0, 1.0] | 35.0",
        "ReFF | masks of 5 images per class | A | 1 | 1 | 2 | 50.0 | -- | 50.0",
        "Baseline | none | A | 2 | 2 | 1 | 20.0 [20.0, 20.0] | 2.0 [2.0, 2.0] | 80.0",
        "DFR | validation groups | B | 2 | 2 | 1 | 40.0 [40.0, 40.0] | -- | 60.0",
    ]


def test_the_table_of_all_methods_is_written_as_csv_and_latex(tmp_path: Path) -> None:
    found = compare([study(tmp_path)])
    csv_file, latex_file = write_methods(tmp_path, found)
    frame = pd.read_csv(csv_file)
    assert [*frame.method] == ["reff", "reff", "baseline", "dfr"]
    assert [*frame.data.unique()] == [*found.data.values()]
    bounds = mean_interval([0.6, 0.7])
    ends = ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]
    assert [*frame[ends].iloc[0]] == pytest.approx([0.65, *(bounds or ())])
    counts = ["seeds", "trainings", "step_cost", "rank"]
    assert frame[counts].iloc[2].tolist() == [2, 2, 1, 2]
    assert frame["rank"].isna().tolist() == [False, True, False, True]
    shown = table_of(page_of(study(tmp_path)))
    written = re.findall(r"^(.*) \\\\$", latex_file.read_text(), re.M)
    assert written == [" & ".join(line).replace("%", r"\%") for line in shown]
    assert write_methods(tmp_path, compare([folder("none", row("reff", None))])) == []


def test_every_word_of_others_in_the_table_is_escaped(tmp_path: Path) -> None:
    nasty = '<script>alert(1)</script>"&\u202e'
    rows = [row("reff", task=nasty), row("reff", weights=nasty, seed=1)]
    (tmp_path / "'<b>").mkdir()
    text = page_of(RunFolder(tmp_path / "'<b>", make_plan([]), tuple(rows)))
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert Page(text).text.count("<script>alert(1)</script>") >= 2


CLICKS = """
const heads = [...document.querySelectorAll("#all-methods th[scope=col]")];
const shown = () => [...document.querySelectorAll("#all-methods tbody tr")]
  .filter((row) => !row.hidden).map((row) => row.cells[1].textContent);
const found = [shown()];
const sort = (name) => {
  const head = heads.find((one) => one.textContent.startsWith(name));
  head.querySelector("button").click();
  found.push([head.getAttribute("aria-sort"), ...shown()]);
};
["Test", "Test", "Rank", "Supervision"].forEach(sort);
const select = document.querySelector("[data-filter=supervision]");
select.value = "masks";
select.dispatchEvent(new Event("change"));
found.push(shown(), document.querySelector("[role=status]").textContent);
found.push(document.querySelectorAll("th[aria-sort]").length);
document.title = JSON.stringify(found);
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_table_can_be_sorted_and_filtered(tmp_path: Path) -> None:
    page = page_of(study(tmp_path)).replace("</body>", f"<script>{CLICKS}</script>")
    digest = base64.b64encode(sha256(CLICKS.encode()).digest()).decode()
    policy = page.replace("script-src ", f"script-src 'sha256-{digest}' ")
    (tmp_path / "clicked.html").write_text(policy)
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    words = [str(CHROMIUM), *flags, profile, f"file://{tmp_path}/clicked.html"]
    shown = subprocess.check_output(words, text=True, timeout=120)
    (title,) = re.findall(r"<title>(.*?)</title>", shown)
    few, every = "masks of 5 images per class", "all masks"
    plain, groups = "none", "validation groups"
    assert json.loads(title) == [
        [every, few, plain, groups],
        ["descending", every, few, groups, plain],
        ["ascending", plain, groups, few, every],
        ["ascending", every, plain, few, groups],  # without a rank: last
        ["ascending", every, few, plain, groups],
        [every, few],
        "2 of 4 rows",
        1,
    ]


def test_the_chart_has_a_marker_for_each_method_and_supervision(tmp_path: Path) -> None:
    runs = study(tmp_path)
    found = compare([runs])
    first, second = found.data
    firsts = [one.first for one in drawn_lines(found, first)]
    drawn = {(one.method, one.settings.annotations) for one in firsts}
    assert drawn == {("baseline", "all"), ("reff", 5), ("reff", "all")}
    assert drawn_lines(found, second) == []  # no Baseline there
    with drawing_style():
        figure = draw_cost(found)
    assert figure.canvas is not None
    (axes,) = figure.canvas.axes
    marks = np.concatenate([np.asarray(one.get_xydata()) for one in axes.get_lines()])
    assert sorted(marks[:, 0]) == pytest.approx([1.0, 2.01, 2.01])
    assert sorted(marks[:, 1]) == pytest.approx([0.2, 0.5, 0.65])
    texts = {text.get_text() for text in axes.texts} - {""}
    assert texts == {"Baseline", "ReFF", "ReFF, 5"}


def test_a_row_of_a_method_is_chosen_by_its_validation_accuracy() -> None:
    rows = [row("baseline", 0.1)]
    rows += [row("reff", a, weight=w) for a, w in ((0.9, 1.0), (0.5, 2.0), (0.7, 3.0))]
    found = compare([folder("a", *rows)])
    (data,) = found.data
    (drawn,) = (o for o in drawn_lines(found, data) if o.first.method == "reff")
    assert drawn.first.settings.value("weight") == 2.0  # val: 0.5, the test: 0.9


def test_no_chart_without_a_baseline() -> None:
    figure = draw_cost(compare([folder("a", row("reff"), row("abn"))]))
    assert figure.canvas is None
    assert figure.missing == ("no finished Baseline to hold a method's cost against",)


def test_a_chart_of_every_method_can_be_read() -> None:
    rows = [row(name, 0.5, speed=40.0, seed=s) for name in METHODS for s in (0, 1)]
    rows += [row(name, 0.98, annotations=n) for name in ("reff", "abn") for n in (1, 5)]
    with drawing_style():
        canvas = draw_cost(compare([folder("a", *rows)])).canvas
        assert canvas is not None
        check_border("cost", canvas)
        check_texts("cost", canvas)


HEIGHTS = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(sorted)


@given(HEIGHTS)
def test_names_keep_their_order_and_distance(heights: list[float]) -> None:
    gap = 0.08
    moved = spread(heights, gap)
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(moved))
    assert max(moved) <= 1 + 1e-9
    assert min(moved) >= min(0.0, 1 - gap * (len(heights) - 1)) - 1e-9
    if all(b - a >= gap for a, b in pairwise(heights)):
        assert moved == pytest.approx(heights)


@pytest.mark.slow  # an own method's processes import torch
def test_the_commands_of_the_page_on_submitting_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "submit.md").read_text(encoding="utf-8")
    (grid,) = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.M)
    commands = re.findall(r"^reff-bench (.*)$", text, re.M)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fakes.make_up_work(monkeypatch)
    for module in ("commands", "report"):
        monkeypatch.setattr(f"reff_bench.cli.{module}.write_page", page_path)
    (tmp_path / "mine.yaml").write_text(grid)
    (tmp_path / "results").symlink_to(ROOT / "results")
    shutil.copy(ROOT / "examples" / "own_method.py", tmp_path)
    said = {command: call(*command.split()) for command in commands}
    sys.modules.pop("own_method", None)
    assert [one.output for one in said.values() if one.exit_code] == []
    verbs = [command.split()[0] for command in commands]
    assert verbs == ["run", "run", "status", "collect", "report", "report"]
    assert "12 runs, 0 not done yet" in said[commands[3]].output
    heads, *lines = table_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    mine = [line for line in lines if line[heads.index("Source")] == "mine.jsonl"]
    trainings = {line[0]: line[heads.index("Trainings")] for line in mine}
    assert trainings == {"Baseline": "3", "right_reasons": "9"}
    assert len({line[heads.index("Data")] for line in lines}) == 2
