import csv
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reff_bench.catalog.methods import distinct_titles
from reff_bench.grid.model import NAMED_TABLES, Select, TableSpec
from reff_bench.report.claims.check import check_claims
from reff_bench.report.claims.write import write_claims
from reff_bench.report.figures.style import title_of
from reff_bench.report.files import write_assignment, write_tables
from reff_bench.report.options import option_rows, options_csv, options_latex
from reff_bench.report.page.write import write_report
from reff_bench.report.render import to_csv, to_latex, to_text
from reff_bench.report.settings import choose
from reff_bench.report.tables import Table, build_table
from reff_bench.report.words import KNOWN_WEIGHTS
from reff_bench.results.folder import RunFolder, RunRecord
from tests.reff_bench.fakes import changed, make_config, make_plan, make_row, make_runs
from texturedmnist.common.latex import escape


def named(name: str) -> TableSpec:
    spec = NAMED_TABLES[name]
    assert spec is not None
    return spec


TAB2, TAB3 = named("tab2"), named("tab3")


def table_of(spec: TableSpec, rows: list[RunRecord], **select: Any) -> Table:
    return build_table(spec, make_plan([], **select), rows)


def latex_of(spec: TableSpec, rows: list[RunRecord], **select: Any) -> str:
    return to_latex(table_of(spec, rows, **select), Select(**select))


def run(method: str, accuracy: float | None, **fields: Any) -> RunRecord:
    status = "pending" if accuracy is None else "done"
    config = make_config(method, **fields)
    return make_row(config, status, test_accuracy=accuracy, val_accuracy=accuracy)


def some_rows() -> list[RunRecord]:
    return [
        *(run("reff", 0.5 + seed / 10, annotations=5, seed=seed) for seed in range(3)),
        *(run("reff", 0.9, annotations="all", seed=seed) for seed in range(3)),
        *(run("abn", 0.6, annotations=5, seed=seed) for seed in (0, 1)),
        run("abn", None, annotations=5, seed=2),
        run("abn", None, annotations="all", seed=0),
        run("baseline", 0.1, annotations=5, seed=0),
        run("reff_plus", 0.95, annotations=5, seed=0),
    ]


def test_tab2_has_the_papers_order_and_numbers() -> None:
    (panel,) = table_of(TAB2, some_rows()).panels
    assert panel.rows == (5, "all")
    assert panel.columns == ("baseline", "reff", "abn", "reff_plus")
    entry = panel.entries[5, "reff"]
    assert (entry.mean, entry.std) == pytest.approx((0.6, 0.1))
    interval = stats.t.interval(0.95, 2, 0.6, 0.1 / 3**0.5)
    assert (entry.low, entry.high) == pytest.approx(interval)
    assert panel.entries[5, "baseline"].std is None


@pytest.mark.parametrize(
    "fields", [{"threads": 2}, {"lr": 0.5}, {"threads": 2, "seed": 1}]
)
def test_only_seeds_are_pooled(fields: dict[str, Any]) -> None:
    rows = [run("reff", 0.5), run("reff", 0.7, **fields)]
    panels = table_of(TAB2, rows).panels
    entries = [panel.entries["all", "reff"] for panel in panels]
    assert [(entry.n, entry.mean) for entry in entries] == [(1, 0.5), (1, 0.7)]
    name, other = next(iter(fields.items()))
    usual = getattr(rows[0].settings, name)
    assert [panel.setting[name] for panel in panels] == [usual, other]


def test_methods_are_never_pooled() -> None:
    spec = TableSpec(name="a", rows="annotations", columns="tex")
    rows = [
        run("baseline", 0.3),
        *(run("reff", 0.5 + weight / 10, weight=weight) for weight in (1.0, 2.0)),
    ]
    panels = table_of(spec, rows).panels
    found = [(one.setting["method"], one.entries["all", 0.0].mean) for one in panels]
    assert found == [("baseline", 0.3), ("reff", 0.6), ("reff", 0.7)]


def test_options_that_other_methods_lack_are_never_pooled() -> None:
    rows = [
        run("baseline", 0.3),
        *(run("reff", 0.5 + weight / 10, weight=weight) for weight in (1.0, 2.0)),
        *(run("background_swap", 0.8, swap_probability=one) for one in (0.25, 0.5)),
    ]
    panels = table_of(TAB2, rows).panels
    assert [panel.setting for panel in panels] == [
        *({"weight": weight} for weight in (1.0, 2.0)),
        *({"swap_probability": one} for one in (0.25, 0.5)),
    ]
    assert all(entry.n == 1 for one in panels for entry in one.entries.values())
    assert all(one.entries["all", "baseline"].mean == 0.3 for one in panels)


def test_a_run_that_lacks_an_option_is_in_a_table() -> None:
    rows = [
        *(run("reff", 0.5, weight=weight) for weight in (1.0, 2.0)),
        *(run("baseline", 0.3, tex=tex) for tex in (0.0, 0.5)),
    ]
    panels = table_of(TAB2, rows).panels
    both = ("baseline", "reff")
    assert [panel.columns for panel in panels] == [both, both, ("baseline",)]
    assert panels[2].setting == {"tex": 0.5}
    entries = [panel.entries for panel in panels]
    assert [one["all", "baseline"].mean for one in entries] == [0.3, 0.3, 0.3]
    assert [one["all", "reff"].n for one in entries[:2]] == [1, 1]


def test_missing_runs_are_marked_and_named() -> None:
    table, latex = table_of(TAB2, some_rows()), latex_of(TAB2, some_rows())
    first, _ = table.missing()
    abn = "abn, annotations 5, bg 0, tex 0, weight 100000, seed 2"
    assert first.startswith(f"{abn} (pending; ")
    assert "60.0 $\\pm$ 0.0 (2)" in latex
    assert "All & -- & \\textbf{90.0} $\\pm$ 0.0 & -- & -- \\\\" in latex
    assert "% missing: abn, annotations 5" in latex
    assert "missing: abn, annotations 5" in to_text(table)


def test_each_missing_run_has_its_reason_and_many_are_counted() -> None:
    failed = make_row(make_config(), "failed", reason="the loss is NaN")
    odd = make_row(make_config(seed=1), "done")
    many = [run("reff", None, seed=seed) for seed in range(2, 13)]
    table = table_of(TAB2, [failed, odd, *many])
    assert "failed: the loss is NaN" in table.missing()[0]
    assert "its record has no test_accuracy" in table.missing()[1]
    assert to_text(table).endswith("and 3 more runs; all are in tab2.csv")


@pytest.mark.parametrize(
    ("value", "reff", "abn", "bold"),
    [
        ("test_accuracy", 0.3, 0.1, "30.0"),
        ("train_seconds", 20.25, 9.5, "9.5"),
        ("flip_rate", 0.3, 0.1, "10.0"),
        ("epg", 0.3, 0.1, "30.0"),
        ("epg_chance", 0.3, 0.1, None),
    ],
)
def test_the_best_of_a_row_is_bold_in_the_direction_of_its_metric(
    value: str, reff: float, abn: float, bold: str | None
) -> None:
    rows = [
        make_row(make_config(name), "done", **{value: found})
        for name, found in (("reff", reff), ("abn", abn))
    ]
    latex = latex_of(TableSpec(name="one", value=value), rows)
    assert re.findall(r"textbf\{(.+?)\}", latex) == ([bold] if bold else [])
    assert ("in bold" in latex) == (bold is not None)


def test_the_csv_has_full_precision_and_one_seed_claims_no_spread() -> None:
    rows = [run("reff", 1 / 3)]
    assert "one seed: no spread can be given" in latex_of(TAB2, rows)
    (line,) = csv.DictReader(io.StringIO(to_csv(table_of(TAB2, rows))))
    assert float(line["mean"]) == 1 / 3
    assert (line["n"], line["planned"], line["std"]) == ("1", "1", "")
    assert (line["annotations"], line["method"]) == ("all", "reff")


def test_settings_that_differ_make_panels() -> None:
    rows = [run("reff", tex, tex=tex, test_tex=tex) for tex in (0.0, 0.5)]
    table, latex = table_of(TAB2, rows), latex_of(TAB2, rows)
    assert [panel.setting for panel in table.panels] == [{"tex": 0.0}, {"tex": 0.5}]
    assert "\\label{tab:tab2-2}" in latex
    assert "tex = 0.5." in latex
    assert "tab2: test_accuracy in per cent tex = 0.5" in to_text(table)
    assert to_csv(table).splitlines()[0].startswith("selection,tex,annotations,method")


def test_tab3_is_about_data_without_a_spurious_feature() -> None:
    rows = [
        run(method, 0.9, bg=bg, tex=tex, test_tex=tex)
        for method in ("baseline", "reff")
        for bg in (0.0, 1.0)
        for tex in (0.0, 0.5)
    ]
    (panel,) = table_of(TAB3, rows).panels
    assert (panel.rows, panel.columns) == ((0.0, 0.5), ("baseline", "reff"))
    assert all(row.settings.bg == 1.0 for row in panel.configs)
    others = [row for one in table_of(TAB2, rows).panels for row in one.configs]
    assert all(row.settings.bg == 0.0 for row in others)


def test_a_shared_run_counts_once() -> None:
    spec = TableSpec(name="a", rows="tex")
    rows = [run("baseline", 0.5, annotations=n) for n in (5, "all")]
    panels = table_of(spec, rows).panels
    assert all(panel.entries[0.0, "baseline"].n == 1 for panel in panels)


def test_a_table_without_runs_says_so() -> None:
    text = to_text(table_of(TAB3, some_rows()))
    assert "tab3: no run of the grid belongs to this table" in text
    assert "no run of the grid" in latex_of(TAB3, some_rows())


TUNED = [
    make_row(
        make_config(weight=weight, seed=seed),
        "done",
        **{"val_accuracy": val, "val_shifted_accuracy": shifted, "test_accuracy": test},
    )
    for weight, seed, val, shifted, test in (
        (0.1, 0, 0.9, 0.1, 0.11),
        (0.1, 1, 0.7, 0.1, 0.11),
        (1.0, 0, 0.6, 0.8, 0.99),
        (1.0, 1, 0.8, 0.8, 0.99),
    )
]
SELECT: dict[str, Any] = {"options": {"weight": (0.1, 1.0)}}


def test_the_choice_is_by_the_mean_over_seeds_and_never_by_the_test() -> None:
    both = {"also": "val_shifted_accuracy", **SELECT}
    table, caption = table_of(TAB2, TUNED, **both), latex_of(TAB2, TUNED, **both)
    assert "weight from \\{0.1, 1\\}, by the highest mean val\\_accuracy" in caption
    means = {p.selection: p.entries["all", "reff"].mean for p in table.panels}
    assert means == pytest.approx({"val_shifted_accuracy": 0.99, "val_accuracy": 0.11})
    assert "selected by val_shifted_accuracy" in to_text(table)


@given(st.permutations(TUNED))
def test_the_choice_does_not_depend_on_the_order(rows: list[Any]) -> None:
    choice = choose(rows, SELECT["options"], "val_shifted_accuracy")
    assert {row.settings.value("weight") for row in choice.rows} == {1.0}


def test_a_choice_among_unfinished_runs_is_provisional() -> None:
    pending = make_row(make_config(weight=10.0), "pending")
    table = table_of(TAB2, [*TUNED, pending], **SELECT)
    assert "weight 10" in table.missing()[0]
    assert table.panels[0].entries["all", "reff"].n == 2


def test_each_method_has_its_own_choice() -> None:
    other = [run("abn", 0.5, weight=w, seed=s) for w in (0.1, 1.0) for s in (0, 1)]
    other[2] = changed(other[2], val_accuracy=0.9)
    choice = choose([*TUNED, *other], SELECT["options"], "val_accuracy")
    chosen = {(row.method, row.settings.value("weight")) for row in choice.rows}
    assert chosen == {("reff", 0.1), ("abn", 1.0)}


def test_the_caption_says_what_a_reader_must_know() -> None:
    caption = latex_of(TAB2, some_rows())
    for words in (
        "Test accuracy (per sample) in per cent, mean $\\pm$ standard deviation over",
        "1 to 3 seeds; (n) marks a mean over only n of the planned seeds",
        "Background randomness 0 in training, 1 in the test;",
        "Annotations in images per class [assumed], the others pseudo-annotated.",
        "Hyper-parameters fixed in the grid, none selected; last epoch.",
        "training images 100 (paper: 54000)",
        "network resnet\\_small (paper: resnet50)",
        "initial weights none, from scratch (paper: imagenet)",
        "ReFF+: ours, not the paper's.",
    ):
        assert words in caption, words


@pytest.mark.parametrize(
    ("weights", "digest", "words"),
    [
        ("/home/me/net.pth", "0" * 64, "net.pth"),
        ("/home/me/network.npz", "", "pruned 8-bit ImageNet weights (network.npz)"),
    ],
)
def test_weights_of_a_file_go_by_their_name_or_content(
    weights: str, digest: str, words: str
) -> None:
    (known,) = KNOWN_WEIGHTS
    assert known.startswith("2ccaeb09")  # the ResNet-50 of ../shared/data/weights
    more = {"backbone": "resnet18", "weights_identity": digest or known + "0" * 48}
    config = make_config("reff", weights=weights, **more)
    latex = latex_of(TAB2, [make_row(config, test_accuracy=0.5)])
    assert f"initial weights {words} (paper: imagenet)" in latex
    options = option_rows(make_plan([config]))
    assert f"initial weights,{words},all,set" in options_csv(options)


def test_tab4_leaves_the_network_to_a_method_of_ones_own() -> None:
    configs = [make_config("own:prints", backbone="resnet50", weights="imagenet")]
    rows = {row.option: row for row in option_rows(make_plan(configs))}
    unless = "unless the method builds a network"
    for name, value in (("backbone", "resnet50"), ("weights", "imagenet")):
        assert rows[name].value.startswith(f"{value}, {unless}")
        assert rows[name].mark == "user"


def test_tab4_shows_every_value_with_its_mark() -> None:
    configs = [
        make_config("baseline"),
        make_config("reff", weight=30.0, annotations=5),
        make_config("reff_plus"),
        make_config("abn", lr=0.5, weight=1.0),
    ]
    options = option_rows(make_plan(configs, options={"weight": (1.0, 30.0)}))
    rows = {(r.option, r.value): (r.methods, r.mark) for r in options}
    assert rows["weight", "30"] == ("ReFF", "tuned")
    assert rows["weight", "10"] == ("ReFF+", "ours")
    assert rows["score", "margin"] == ("ReFF+", "ours")
    assert rows["score", "logit"] == ("ReFF", "assumed")
    assert rows["lr", "0.5"] == ("ABN", "set")
    assert rows["lr", "0.001"] == ("Baseline, ReFF, ReFF+", "paper")
    assert rows["batch_size", "64"] == ("all", "assumed")
    assert rows["backbone", "resnet_small"] == ("all", "set")
    assert rows["annotator_lr", "0.0002"] == ("all", "other")
    assert ("momentum", "0") not in rows
    assert "weight of the penalty,30,ReFF,tuned" in options_csv(options)
    assert "weight of the penalty & 30 & ReFF & [tuned]" in options_latex(options)


@given(st.text())
def test_no_special_character_is_left_bare(text: str) -> None:
    codes = r"\\text(backslash|asciitilde|asciicircum)\{\}|\$\\pm\$"
    rest = re.sub(codes, "", escape(text))
    for sign in "%&#_{}$":
        assert rest.count(sign) == rest.count(f"\\{sign}") or "\\text" in rest


def test_the_files_are_written(tmp_path: Path) -> None:
    runs = RunFolder(tmp_path, make_plan([]), tuple(some_rows()))
    texts, files = write_tables(runs, [TAB2])
    names = [path.name for path in [write_assignment(tmp_path, "ties"), *files]]
    assert names == ["tab1.tex", "tab2.csv", "tab2.tex", "tab4.csv", "tab4.tex"]
    assert all(path.is_file() for path in files)
    assert "tab2: test_accuracy in per cent" in texts[0]


DOCUMENT = """\\documentclass{article}
\\usepackage[margin=2cm]{geometry}
\\usepackage{booktabs}
\\begin{document}
%s
\\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs a LaTeX")
def test_a_real_latex_takes_tables_and_claims(tmp_path: Path) -> None:
    configs = [make_config(name) for name in ("baseline", "reff", "abn", "reff_plus")]
    options = options_latex(option_rows(make_plan(configs)))
    write_claims(tmp_path, check_claims(make_runs(some_rows())))
    claims = (tmp_path / "tables" / "claims.tex").read_text()
    text = DOCUMENT % "\n".join([latex_of(TAB2, some_rows()), options, claims])
    (tmp_path / "t.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_own_methods_of_one_title_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    code = "from tests.reff_bench.own_methods import bare as {}\n"
    (tmp_path / "told.py").write_text(code.format("prints") + code.format("alone"))
    (tmp_path / "told2.py").write_text(code.format("prints"))
    names = ("told:prints", "told2:prints", "told:alone", "reff")
    rows = tuple(run(name, 0.5) for name in names)
    plan = make_plan([row.settings for row in rows])
    runs = RunFolder(tmp_path / "out", plan, rows)
    (text,), files = write_tables(runs, (TAB2,))
    latex = next(path for path in files if path.name == "tab2.tex").read_text()
    for shown in (text, latex):
        assert "prints (told)" in shown
        assert "prints (told2)" in shown
        assert "alone (told)" not in shown
    with distinct_titles(names):
        assert title_of("told2:prints") == "prints (told2)"
    assert title_of("told2:prints") == "prints"
    assert "prints (told2)" in write_report(runs).read_text()
